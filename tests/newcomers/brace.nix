{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = {
    steps = [ { bash = "make"; } ];
  jobs.lint.steps = [ { bash = "lint"; } ];
}
