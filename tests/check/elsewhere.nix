{ nixactions, ... }:
let
  patience = "a while";
  shared = {
    env.TOKEN = { };
    steps = [ { bash = "true"; timeout = patience; } ];
  };
in
nixactions.mkWorkflow {
  name = "elsewhere";
  jobs = {
    a = shared;
    b = shared // { tags = patience; };
  };
}
