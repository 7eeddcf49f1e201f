{ nixactions, ... }:
let
  a = b + 1;
  b = a + 1;
in
nixactions.mkWorkflow {
  name = "recursion";
  env.A = a;
  jobs = { };
}
