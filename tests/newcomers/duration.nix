{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  timeout = "10 min";
  jobs.test.steps = [ { bash = "make test"; timeout = "1,5h"; } ];
}
