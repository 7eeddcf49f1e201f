{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = { needs = "build"; steps = { bash = "make"; }; };
  jobs.build.steps = [ { bash = "make"; } ];
}
