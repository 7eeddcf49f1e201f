# Strings: interpolation, concatStringsSep, replaceStrings, substring.
let
  line = i: "line ${toString i}: ${builtins.substring 0 5 "abcdefgh"}-${if i > 10 then "many" else "few"}";
  text = builtins.concatStringsSep "\n" (builtins.genList line 40000);
  quoted = builtins.replaceStrings [ "line" "\n" "many" ] [ "LINE" ";" "a lot" ] text;
in [ (builtins.stringLength quoted) (builtins.hashString "sha256" quoted) ]
