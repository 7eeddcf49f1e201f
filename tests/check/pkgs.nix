{ nixactions, pkgs, ... }:
nixactions.mkWorkflow {
  name = "pkgs";
  jobs.a.steps = [ { bash = "true"; deps = [ pkgs.hello ]; } ];
}
