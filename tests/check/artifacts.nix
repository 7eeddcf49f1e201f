{ nixactions, ... }:
let
  steps = [ { bash = "true"; } ];
in
nixactions.mkWorkflow {
  name = "artifacts";
  jobs = {
    build = { inherit steps; outputs.dist = "dist"; };
    again = { inherit steps; outputs.dist = "out"; };
    test = { inherit steps; inputs = [ "dist" ]; };
    deploy = { inherit steps; needs = [ "build" ]; inputs = [ "dits" ]; };
  };
}
