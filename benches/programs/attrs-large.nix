# Attribute sets: making, mapping, filtering and reading large ones.
let
  pairs = builtins.genList (i: { name = "n${toString i}"; value = i; }) 50000;
  set = builtins.listToAttrs pairs;
  mapped = builtins.mapAttrs (n: v: v * 2) set;
  evens = builtins.removeAttrs mapped (map (p: p.name) (builtins.filter (p: p.value - p.value / 2 * 2 == 1) pairs));
  common = builtins.intersectAttrs evens set;
in builtins.foldl' builtins.add 0 (builtins.attrValues common) + builtins.length (builtins.attrNames mapped)
