{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = { pure = True; steps = [ { bash = "make"; } ]; };
}
