# Strings: one character at a time, as library code does.
let
  chars = s: builtins.genList (i: builtins.substring i 1 s) (builtins.stringLength s);
  rot = c: { a = "b"; b = "c"; c = "a"; }.${c} or c;
  step = s: builtins.concatStringsSep "" (map rot (chars s));
  iterate = n: s: builtins.foldl' (acc: _: step acc) s (builtins.genList (i: i) n);
in iterate 3000 "the abc of a cab back in a cabbage barracks"
