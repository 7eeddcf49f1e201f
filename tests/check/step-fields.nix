{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "step-fields";
  jobs.a.steps = [
    { name = 3; bash = "true"; }
    { name = "no-script"; }
    { bash = [ "true" ]; }
    { bash = "a"; run = "b"; }
    { bash = "a"; shell = "sh"; }
    { bsh = "a"; }
    "echo hello"
    { bash = "true"; workdir = "../up"; timeout = "1h30"; }
    { bash = "true"; condition = "success() && [ -f x ]"; }
    { bash = "true"; deps = [ "git" ]; }
    { bash = "true"; id = "x"; }
    { bash = "true"; id = "x"; }
  ];
}
