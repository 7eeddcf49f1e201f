# Each value is wrong where it is written, and gets to its job by another way.
{ nixactions, ... }:
let
  steps = [ { bash = "true"; } ];
  pure = "function";
  job = tags: pure: { inherit steps tags pure; };
  named = name: { inherit steps; needs = [ name ]; };
  flags = { continueOnError = 1; };
  shared = import ./lib/jobs.nix;
in
nixactions.mkWorkflow {
  name = "provenance";
  extensions = [
    (workflow: workflow // { jobs = workflow.jobs // { extended = { inherit steps; timeout = "extension"; }; }; })
    (workflow: workflow // { failFast = "extension"; })
  ];
  jobs = {
    by-function = job "tags by function" true;
    by-argument = job [ "t" ] "argument";
    by-map = builtins.head (map named [ "mapped" ]);
    by-update = { inherit steps; } // { tags = "update"; };
    by-inherit = { inherit steps; inherit pure; };
    by-inherit-from = { inherit steps; inherit (flags) continueOnError; };
    by-import = shared.slow;
    by-imported-function = shared.job [ "nowhere" ];
    by-list = { inherit steps; tags = [ "a" ] ++ [ 1 ]; };
    by-default = (({ tags ? 7 }: { inherit steps tags; }) { });
    by-if = { inherit steps; pure = if true then "yes" else false; };
    by-concat = { inherit steps; needs = [ ("con" + "cat") ]; };
    by-name = builtins.listToAttrs [ { name = "steps"; value = "listed"; } ];
  } // nixactions.mkMatrixJobs {
    name = "matrix";
    matrix.version = [ "one" "two" ];
    jobTemplate = { version }: { inherit steps; timeout = version; };
  } // nixactions.mkMatrixJobs {
    name = "fields";
    matrix.os = [ "linux" ];
    inherit steps;
    timeuot = 5;
  };
}
