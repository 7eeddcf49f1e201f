# Attribute sets: many small records.
let
  point = x: y: rec { inherit x y; norm = x * x + y * y; move = dx: dy: point (x + dx) (y + dy); };
  walk = n: p: if n == 0 then p else walk (n - 1) (p.move 1 2);
in builtins.foldl' (acc: i: acc + (walk 50 (point i 0)).norm) 0 (builtins.genList (i: i) 4000)
