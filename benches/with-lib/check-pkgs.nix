# A workflow whose steps take packages of nixpkgs.
{ nixactions, pkgs, ... }:
nixactions.mkWorkflow {
  name = "with-packages";
  jobs = {
    lint.steps = [ { name = "lint"; deps = [ pkgs.hello pkgs.gnused ]; bash = "hello | sed s/a/b/"; } ];
    build = {
      needs = [ "lint" ];
      steps = [ { name = "build"; deps = [ pkgs.git pkgs.python ]; bash = "git --version && python --version"; } ];
    };
  };
}
