# Calls with attribute set patterns and defaults.
let
  step = { acc, n, by ? 1, ... }@args: if n == 0 then acc else go (args // { acc = acc + by; n = n - 1; });
  go = { acc, n, scale ? 2, ... }@args: step (args // { by = scale; });
  run = i: go { acc = i; n = 40; extra = "x"; };
in builtins.foldl' (s: i: s + run i) 0 (builtins.genList (i: i) 2000)
