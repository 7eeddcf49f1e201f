# What is removed leaves no gap.
{ nixactions, pkgs, lib ? null }@whole:
let
  # Kept for later.
  first = 1;
  inherit (nixactions) executors envProviders;
  a.b = 1;
  a.c = 2;
  used = "x"; gone = used;
  chain1 = chain2;
  chain2 = chain1;
in
nixactions.mkWorkflow {
  name = used;
  env = rec { A = isNull null; };
  jobs.test = {
    needs = [
      "build"
      "build"
    ];
    executor = executors.local;
    steps = [ { bash = with lib; let only = 1; in "true"; } ];
  };
  jobs.build.steps = map (n: { bash = let { n = "x"; body = "${n}"; }; }) [ 1 ];
  # nixactions: allow(NXA012, NXA013, unused-artifact) not needed
  logging = { };
}
