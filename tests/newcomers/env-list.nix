{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  env = [ "A=1" ];
  jobs.test = { env.B = [ 1 ]; steps = [ { bash = "make"; env = "C=1"; } ]; };
}
