# Attribute sets: chains of small updates over a set of 1,024 names.
let
  base = builtins.listToAttrs (builtins.genList (i: { name = "key${toString i}"; value = i; }) 1024);
  names = builtins.attrNames base;
in builtins.foldl' (acc: i: acc // { ${builtins.elemAt names (i - i / 1024 * 1024)} = i; }) base
  (builtins.genList (i: i) 20000) == base
