{ nixactions, ... }:
let
  job = needs: {
    inherit needs;
    steps = [ { bash = "true"; } ];
  };
in
nixactions.mkWorkflow {
  name = "cycles";
  jobs = {
    a = job [ "b" ];
    b = job [ "c" ];
    c = job [ "a" ];
    x = job [ "y" ];
    y = job [ "x" ];
  };
}
