{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = { executor = "local"; steps = [ { bash = "make"; } ]; };
}
