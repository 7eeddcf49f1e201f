# Calls and arithmetic: three curried arguments, deep recursion.
let tak = x: y: z: if y < x then tak (tak (x - 1) y z) (tak (y - 1) z x) (tak (z - 1) x y) else z; in builtins.foldl' (a: i: a + tak (20 + i - i) 13 6) 0 (builtins.genList (i: i) 4)
