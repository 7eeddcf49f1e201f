{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ "make test" ];
}
