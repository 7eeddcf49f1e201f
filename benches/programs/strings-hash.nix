# Strings: hashing and JSON.
let
  data = builtins.genList (i: { id = i; name = "n${toString i}"; tags = [ "a" "b" (toString i) ]; ratio = i / 3.0; }) 8000;
  json = builtins.toJSON data;
  back = builtins.fromJSON json;
  digests = builtins.foldl' (acc: x: builtins.hashString "sha256" (acc + x.name)) "" back;
in [ (builtins.stringLength json) digests (back == data) ]
