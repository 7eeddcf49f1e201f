# Lists: `++` from either end, quicksort made of lists.
let
  qs = l: if l == [ ] then [ ] else
    let h = builtins.head l; p = builtins.partition (x: x < h) (builtins.tail l); in qs p.right ++ [ h ] ++ qs p.wrong;
  grow = builtins.foldl' (acc: x: acc ++ [ x ]) [ ] (builtins.genList (i: i) 4000);
  mix = builtins.genList (i: (i * 7919) - (i * 7919) / 20011 * 20011) 20000;
in [ (builtins.length grow) (builtins.elemAt (qs mix) 777) ]
