{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "needs";
  jobs = {
    lint.steps = [ { bash = "true"; } ];
    test = {
      needs = [ "lnit" "lint" "lint" ];
      steps = [ { bash = "true"; } ];
    };
    deploy = {
      needs = [ "test" "deploy" ];
      steps = [ { bash = "true"; } ];
    };
  };
}
