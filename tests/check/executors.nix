# Executors that do not fit their jobs, and programs that are not on the PATH of a pure job.
{ nixactions, pkgs, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs = {
    build = {
      executor = nixactions.executors.oci;
      outputs.site = "dist";
      steps = [ { bash = "make dist"; } ];
    };
    deploy = {
      needs = [ "build" ];
      executor = nixactions.executors.local { copyRepo = false; };
      inputs = [ "site" ];
      steps = [ { bash = "./upload dist"; } ];
    };
    bare = {
      pure = true;
      steps = [
        {
          deps = [ "/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-gnumake-4.4.1" ];
          bash = ''
            make
            jq . result.json
          '';
        }
        { bash = "git describe"; }
      ];
    };
  };
}
