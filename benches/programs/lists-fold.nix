# Lists: genList, map, filter, foldl', concatMap.
let
  xs = builtins.genList (i: i) 300000;
  ys = builtins.filter (x: x - x / 3 * 3 != 0) (map (x: x + 1) xs);
  zs = builtins.concatMap (x: [ x (x + 1) ]) ys;
in builtins.foldl' (a: b: a + b) 0 zs
