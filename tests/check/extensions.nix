{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "extensions";
  extensions = [
    (w: w // { jobz = { }; })
    (w: "not a workflow")
  ];
  jobs.a.steps = [ { bash = "true"; } ];
}
