# Strings: split, match and versions.
let
  text = builtins.concatStringsSep ", " (builtins.genList (i: "pkg-${toString i}.${toString (i * 7)}.1") 8000);
  parts = builtins.filter builtins.isString (builtins.split ",[ ]*" text);
  version = s: builtins.elemAt (builtins.match "pkg-([0-9]+)\\.([0-9]+)\\.(.*)" s) 1;
  newest = builtins.foldl' (a: b: if builtins.compareVersions a b < 0 then b else a) "0" (map version parts);
in [ newest (builtins.length parts) (builtins.parseDrvName (builtins.head parts)) ]
