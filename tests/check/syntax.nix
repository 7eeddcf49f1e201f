{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "syntax"
  jobs.a.steps = [ { bash = "true"; } ];
}
