{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "evaluation";
  env.A = throw "no value for A";
  jobs = {
    a.steps = [ { bash = "echo ${nixactions.nothing}"; } ];
    b = { steps = [ { bash = 1 + "x"; } ]; needs = [ "c" ]; };
  };
}
