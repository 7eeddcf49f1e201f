{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.needs = [ "a", "b" ];
  jobs.test.steps = [ { bash = "make"; } ];
}
