{ nixactions, ... }:
nixactions.mkWorkflow {
  name = ;
  jobs.a.steps = [ { bash = "true" } ];
  env = { A = ); };
}
