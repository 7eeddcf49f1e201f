# Each job where it belongs, with artifacts between them: built here, tested in a container, deployed on
# a host, and reported here.
{ nixactions, ... }:
let
  # Where this runs for real, these are names in the file; here CI says which services it has started.
  env = name: default: let value = builtins.getEnv name; in if value == "" then default else value;

  host = nixactions.executors.ssh {
    host = env "CI_SSH_HOST" "build1";
    port = builtins.fromJSON (env "CI_SSH_PORT" "22");
    identityFile = env "CI_SSH_KEY" ".ssh/build";
    knownHosts = env "CI_SSH_KNOWN_HOSTS" ".ssh/known_hosts";
  };
in
nixactions.mkWorkflow {
  name = "mixed";

  jobs = {
    build = {
      outputs.app = "dist";
      steps = [
        {
          bash = ''
            mkdir -p dist/bin
            printf '#!/bin/sh\necho "hello from $(uname -s)"\n' > dist/bin/app
            chmod +x dist/bin/app
            ln -s bin/app dist/run
          '';
        }
      ];
    };

    test = {
      needs = [ "build" ];
      inputs = [ "app" ];
      executor = nixactions.executors.oci { image = env "CI_IMAGE" "debian:12"; copyRepo = false; };
      outputs.verdict = "verdict.txt";
      steps = [ { bash = "./dist/run && [[ -L dist/run ]] && echo passed > verdict.txt"; } ];
    };

    deploy = {
      needs = [ "test" ];
      inputs = [ "app" "verdict" ];
      executor = host;
      outputs.log = "deployed.log";
      steps = [ { bash = "grep -q passed verdict.txt && ./dist/run | tee deployed.log"; } ];
    };

    report = {
      needs = [ "deploy" ];
      inputs = [ "log" ];
      steps = [ { bash = "cat deployed.log"; } ];
    };
  };
}
