# Packages from nixpkgs, by name. CI runs this with a small package set in the place of nixpkgs, built by
# the nix daemon:
#
#   nixactions run --pkgs tests/packages/set examples/02-features/nix-shell.nix
{ nixactions, pkgs, ... }:
nixactions.mkWorkflow {
  name = "nix-shell";
  jobs = {
    # On the PATH of the steps that follow.
    shell.steps = [
      (nixactions.actions.nixShell [ "greet" "tools.count" ])
      { name = "use"; bash = ''greet "packages" | count''; }
    ];
    # On the PATH of one step.
    deps.steps = [
      { name = "shout"; deps = [ pkgs.shout ]; bash = "shout world"; }
      { name = "gone"; bash = "! command -v shout"; }
    ];
    # In a text: exactly what it refers to is built.
    text.steps = [ { bash = "${pkgs.greet}/bin/greet text"; } ];
  };
}
