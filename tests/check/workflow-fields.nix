{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "";
  env = [ "A=1" ];
  envFrom = { };
  retry = 3;
  timeout = "5 minutes";
  budget = 0;
  extensions = { };
  logging = {
    format = "jsn";
    colour = true;
  };
  failFast = "yes";
  maxParallel = 0;
  jbos = { };
  jobs = [ ];
}
