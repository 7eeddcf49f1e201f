# Jobs in containers, over the engine's API. A service with an image runs beside the job and is reached
# by its name.
{ nixactions, ... }:
let
  # Where this runs for real, these are names in the file; here CI says which services it has started.
  env = name: default: let value = builtins.getEnv name; in if value == "" then default else value;

  box = nixactions.executors.oci {
    image = env "CI_IMAGE" "debian:12";
  };
in
nixactions.mkWorkflow {
  name = "docker-ci";

  jobs = {
    test = {
      executor = box;
      steps = [
        { name = "where"; bash = "cat /etc/os-release"; }
        { name = "test"; bash = "mkdir dist && echo built > dist/app"; }
      ];
      outputs.app = "dist";
    };

    integration = {
      needs = [ "test" ];
      inputs = [ "app" ];
      executor = box;
      services.web = {
        image = env "CI_WEB_IMAGE" "nginx:alpine";
        ports = [ 80 ];
      };
      steps = [
        {
          name = "ask-the-service";
          bash = ''
            cat dist/app
            exec 3<>/dev/tcp/web/80
            printf 'GET / HTTP/1.0\r\n\r\n' >&3
            head -1 <&3
          '';
        }
      ];
    };
  };
}
