# What the flake of this repository asks of nixpkgs, over the small package set of the tests.
{ system ? builtins.currentSystem, ... }:
let
  base = import ./set { inherit system; };
  lib = {
    importTOML = file: fromTOML (builtins.readFile file);
    cleanSourceWith = { src, filter }: builtins.path { path = src; name = "source"; inherit filter; };
    cleanSourceFilter = name: _: baseNameOf name != ".git";
    licenses.mit = { spdxId = "MIT"; };
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
  };
  names = map (n: "${n}");
  make = name: attrs: derivation (removeAttrs attrs [ "meta" "cargoLock" "passthru" ] // {
    inherit name system;
    builder = "/bin/sh";
    args = [ "-c" "exit 1" ];
  }) // { meta = attrs.meta or { }; };
  callPackage = pkgs: f: args:
    let
      wanted = builtins.intersectAttrs (builtins.functionArgs f) (pkgs // args);
    in
    f wanted;
  set = base // {
    inherit lib;
    callPackage = callPackage set;
    rustPlatform.buildRustPackage = args: make "${args.pname}-${args.version}" (args // {
      # Vendored sources are named by the lock file.
      lock = args.cargoLock.lockFile;
    });
    installShellFiles = base.greet;
    bash = base.greet;
    git = base.shout;
    cargo = base.greet;
    clippy = base.greet;
    rustc = base.greet;
    rustfmt = base.greet;
    rust-analyzer = base.greet;
    mkShell = { inputsFrom, packages }: make "shell" {
      inputs = names packages;
      native = builtins.concatLists (map (i: names (i.nativeBuildInputs or [ ])) inputsFrom);
    };
    extend = overlay:
      let final = set // overlay final set // { callPackage = callPackage final; };
      in final;
  };
in
set
