# Lists: sorting numbers and strings with builtin and own orders.
let
  next = x: let y = x * 1103515245 + 12345; in y - y / 2147483648 * 2147483648;
  random = builtins.genList (i: next (next (i * 7919 + 13))) 60000;
  sorted = builtins.sort builtins.lessThan random;
  reversed = builtins.sort (a: b: a > b) random;
  strings = builtins.sort (a: b: a < b) (map toString random);
in [ (builtins.elemAt sorted 1000) (builtins.head reversed) (builtins.elemAt strings 5000) ]
