{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ (nixactions.actions.chekout { }) { bash = "make"; } ];
}
