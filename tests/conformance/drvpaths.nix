# One line for each package of `nixpkgs`, top-level and one set down: its attribute path and drvPath, or `fails`.
{ nixpkgs }:
let
  pkgs = import (nixpkgs + "/default.nix") { system = "x86_64-linux"; config = { }; };
  isDerivation = v: builtins.isAttrs v && (v.type or "") == "derivation";
  attempt = default: v: let r = builtins.tryEval v; in if r.success then r.value else default;
  line = path: v: "${path} ${attempt "fails" v.drvPath}";
  inside = path: set: builtins.concatMap (name: let v = set.${name}; in
    if attempt false (isDerivation v) then [ (line "${path}.${name}" v) ] else [ ]) (builtins.attrNames set);
  top = name: let v = pkgs.${name}; in
    if attempt false (isDerivation v) then [ (line name v) ]
    else if attempt false (builtins.isAttrs v && (v.recurseForDerivations or false)) then inside name v
    else [ ];
in builtins.concatStringsSep "\n" (builtins.concatMap top (builtins.attrNames pkgs))
