# The drvPath of every top-level package that has one.
{ nixpkgs }:
let
  pkgs = import (nixpkgs + "/default.nix") { system = "x86_64-linux"; config = { }; };
  path = name: let
    attempt = builtins.tryEval (let v = pkgs.${name}; in if builtins.isAttrs v && (v.type or "") == "derivation" then v.drvPath else null);
  in if attempt.success then attempt.value else null;
in builtins.concatStringsSep "\n" (builtins.filter (p: p != null) (map path (builtins.attrNames pkgs)))
