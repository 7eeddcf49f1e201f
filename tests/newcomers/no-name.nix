{ nixactions, ... }:
nixactions.mkWorkflow {
  jobs.test.steps = [ { bash = "make"; } ];
}
