{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = { continueOnError = "yes"; pure = "true"; steps = [ { bash = "make"; } ]; };
}
