# A container image, built and pushed by buildah, which needs no daemon; then pulled again.
{ nixactions, ... }:
let
  # Where this runs for real, these are names in the file; here CI says which services it has started.
  env = name: default: let value = builtins.getEnv name; in if value == "" then default else value;

  registry = env "CI_REGISTRY" "registry.example.org";
  tlsVerify = env "CI_REGISTRY_TLS" "true" == "true";
in
nixactions.mkWorkflow {
  name = "buildah";

  jobs = {
    image = nixactions.jobs.buildahBuildPush {
      context = "examples/04-executors/image";
      image = "nixactions-example/hello";
      tags = [ "latest" "1.0" ];
      inherit registry tlsVerify;
    };

    verify = {
      needs = [ "image" ];
      steps = [
        {
          name = "pull";
          bash = ''
            buildah pull --tls-verify=${nixactions.lib.boolToString tlsVerify} ${registry}/nixactions-example/hello:1.0
          '';
        }
      ];
    };
  };
}
