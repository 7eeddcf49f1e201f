# A small package set of the tests' own, in the place of nixpkgs: programs made by /bin/sh, nothing else.
{ system ? builtins.currentSystem, ... }:
let
  pkg = name: script: derivation {
    inherit name system;
    builder = "/bin/sh";
    args = [
      "-c"
      ''
        PATH=/usr/local/bin:/usr/bin:/bin
        mkdir -p $out/bin
        printf '%s\n' '#!/bin/sh' '${script}' > $out/bin/${name}
        chmod +x $out/bin/${name}
      ''
    ];
  } // { meta.mainProgram = name; };
in
rec {
  greet = pkg "greet" ''echo "hello, $1"'';
  shout = pkg "shout" ''${greet}/bin/greet "$1" | tr a-z A-Z'';
  tools.count = pkg "count" "wc -l";

  # What flakes ask of nixpkgs.
  runCommand = name: attrs: script:
    derivation (removeAttrs attrs [ "passthru" "meta" ] // {
      inherit name system;
      builder = "/bin/sh";
      args = [ "-c" ("PATH=/usr/local/bin:/usr/bin:/bin\n" + script) ];
    }) // attrs.passthru or { } // { passthru = attrs.passthru or { }; meta = attrs.meta or { }; };
}
