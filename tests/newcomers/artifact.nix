{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.build = { outputs.binary = "out"; steps = [ { bash = "make"; } ]; };
  jobs.test = { needs = [ "build" ]; inputs = [ "binray" ]; steps = [ { bash = "make test"; } ]; };
}
