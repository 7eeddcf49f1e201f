{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs = {
    lint.steps = [ { bash = "make lint"; } ];
    test = { needs = [ "lnit" ]; steps = [ { bash = "make test"; } ]; };
  };
}
