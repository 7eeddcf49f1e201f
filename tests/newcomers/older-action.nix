{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ (nixactions.actions.requireEnv [ "TOKEN" ]) { bash = "make"; } ];
}
