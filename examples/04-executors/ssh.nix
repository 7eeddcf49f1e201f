# Jobs on another machine, over one connection. It needs a shell and tar there, nothing of ours.
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
  name = "ssh";

  jobs = {
    build = {
      executor = host;
      steps = [
        { name = "where"; bash = "uname -a; echo \"in $PWD\""; }
        { name = "the-project"; bash = "git log -1 --format=%s; ls"; }
        { name = "build"; bash = "mkdir out && git rev-parse HEAD > out/revision"; }
      ];
      outputs.revision = "out/revision";
    };

    report = {
      needs = [ "build" ];
      inputs = [ "revision" ];
      steps = [ { bash = "echo \"built $(cat out/revision)\""; } ];
    };
  };
}
