# The shape of nixpkgs: overlays over a fixed point of a few thousand attributes.
let
  fix = f: let x = f x; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  base = final: builtins.listToAttrs (builtins.genList (i: {
    name = "p${toString i}";
    value = { version = toString i; deps = if i == 0 then [ ] else [ final."p${toString (i - 1)}" ]; size = i + (if i == 0 then 0 else final."p${toString (i / 2)}".size); };
  }) 20000);
  overlay = k: final: prev: builtins.listToAttrs (builtins.genList (i: let n = "p${toString (i * 10 + k)}"; in { name = n; value = prev.${n} // { size = prev.${n}.size + k; }; }) 2000);
  all = fix (builtins.foldl' (f: k: extends (overlay k) f) base (builtins.genList (k: k) 9));
in builtins.foldl' (a: p: a + p.size) 0 (builtins.attrValues all)
