{ nixactions, ... }:
let
  steps = [ { bash = "true"; } ];
in
nixactions.mkWorkflow {
  name = "matrix";
  jobs = {
    a = { inherit steps; matrix = [ 1 ]; };
    b = { inherit steps; matrix = { os = "linux"; }; };
    c = { inherit steps; matrix = { os = [ ]; }; };
    d = { inherit steps; matrix = { os = [ "l" "l" ]; exclude = [ { so = "l"; } ]; }; };
    e = { steps = { os }: [ { bsh = os; } ]; matrix = { os = [ "l" "m" ]; }; };
  };
}
