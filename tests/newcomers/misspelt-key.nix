{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.step = [ { bash = "make test"; } ];
}
