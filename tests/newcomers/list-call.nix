{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ nixactions.actions.checkout { } { bash = "make"; } ];
}
