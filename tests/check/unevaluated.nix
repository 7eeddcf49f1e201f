# A name that nothing defines stops the evaluation; the text alone still shows what else is wrong.
{ nixactions, ... }:
let
  setup = {
    bash = "make deps";
  };
in
nixactions.mkWorkflow {
  name = "ci";
  time-out = "1h";
  jobs = {
    lint = {
      actions = [ { bash = "make lint"; } ];
      executor = nixactions.executors.oci { imge = "debian"; };
    };
    test = {
      needs = [ "lnt" "lint" "lint" ];
      matrix.os = [ "a" "b" ];
      steps = [ setup { bahs = "make test"; } ] ++ [ { bash = "x"; retry.max_attempt = 3; } ];
    };
    deploy = nixactions.mkJob {
      need = [ "test" ];
      needs = [ "test-os-a" "deploy" ];
      steps = [ { bash = stup; } ];
    };
  };
}
