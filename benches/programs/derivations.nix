# Derivations: a graph of 3,000 with inputs, contexts and outputs.
let
  make = i: deps: derivation {
    name = "package-${toString i}"; system = "x86_64-linux"; builder = "/bin/sh";
    args = [ "-c" "build ${toString i}" ]; outputs = [ "out" "dev" ]; inputs = deps;
    flags = "--prefix=${builtins.placeholder "out"} ${toString deps}"; number = i; debug = false;
  };
  graph = builtins.foldl' (acc: i: [ (make i (builtins.genList (k: builtins.elemAt acc (k * (builtins.length acc) / 4)) (if i < 4 then 0 else 4))) ] ++ acc) [ ]
    (builtins.genList (i: i) 600);
in map (d: d.drvPath) graph
