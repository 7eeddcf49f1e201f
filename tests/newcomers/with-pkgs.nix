{ nixactions, pkgs, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ { bash = "make test"; deps = [ gnumake ]; } ];
}
