{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  // the tests
  jobs.test.steps = [ { bash = "make"; } ];
}
