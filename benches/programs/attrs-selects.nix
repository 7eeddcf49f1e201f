# Attribute sets: folding deep selects and selects with a default.
let s = { a.b.c.d = 1; x = { y = 2; }; };
in builtins.foldl' (acc: i: acc + s.a.b.c.d + s.x.y + (s.x.z or 3) + (if s ? a.b.q then 1 else 0)) 0
  (builtins.genList (i: i) 300000)
