# `evalModules` of nixpkgs' lib over hundreds of options and submodules.
{ lib }:
let
  inherit (lib) mkOption types mkIf mkDefault mkForce mkMerge;
  declare = i: { config, ... }: {
    options.service."s${toString i}" = {
      enable = mkOption { type = types.bool; default = false; description = "Whether to run it."; };
      port = mkOption { type = types.int; default = 1000 + i; };
      args = mkOption { type = types.listOf types.str; default = [ ]; };
      env = mkOption { type = types.attrsOf types.str; default = { }; };
    };
    config = mkIf config.service."s${toString i}".enable { report = [ "s${toString i}:${toString config.service."s${toString i}".port}" ]; };
  };
  define = i: {
    service."s${toString i}" = mkMerge [
      { enable = i - i / 3 * 3 != 0; args = [ "--id" (toString i) ]; env.A = "a"; }
      { port = mkDefault (2000 + i); env.B = mkForce "b"; args = lib.mkAfter [ "--last" ]; }
    ];
  };
  users = { options.users = mkOption { default = { }; type = types.attrsOf (types.submodule ({ name, ... }: {
    options = { name = mkOption { type = types.str; default = name; }; uid = mkOption { type = types.nullOr types.int; default = null; }; groups = mkOption { type = types.listOf types.str; default = [ ]; }; };
  })); }; };
  result = lib.evalModules { modules = [ users { options.report = mkOption { type = types.listOf types.str; default = [ ]; }; } ]
    ++ builtins.genList declare 120 ++ builtins.genList define 120
    ++ builtins.genList (i: { users."u${toString i}" = { uid = i; groups = [ "g${toString i}" ]; }; }) 100; };
in builtins.hashString "sha256" (builtins.toJSON result.config)
