# Closures: Church numerals.
let
  succ = n: f: x: f (n f x);
  add = a: b: f: x: a f (b f x);
  mul = a: b: f: a (b f);
  zero = f: x: x;
  ofInt = n: if n == 0 then zero else succ (ofInt (n - 1));
  toInt = n: n (x: x + 1) 0;
  ten = ofInt 10;
  thousand = mul ten (mul ten ten);
in builtins.foldl' (a: i: a + toInt (add (mul thousand (ofInt 3)) (ofInt i))) 0 (builtins.genList (i: i) 40)
