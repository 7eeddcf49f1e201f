{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = { executor = nixactions.executors.local { copyRpo = false; }; steps = [ { bash = "make"; } ]; };
}
