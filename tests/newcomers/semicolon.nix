{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ { bash = "make test" } ];
}
