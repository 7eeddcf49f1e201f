# When jobs and steps run. This workflow succeeds: the job that fails may.
{ nixactions, ... }:

let
  say = text: [ { name = "say"; bash = "echo ${nixactions.lib.escapeShellArg text}"; } ];
in
nixactions.mkWorkflow {
  name = "conditions";

  jobs = {
    build.steps = say "built";

    flaky = {
      continueOnError = true;
      steps = [
        { name = "fails"; bash = "exit 3"; }
        { name = "skipped"; bash = "echo 'never printed'; exit 1"; }
        { name = "after-a-failure"; condition = "failure()"; bash = "echo 'something failed before'"; }
        { name = "in-any-case"; "if" = "always()"; bash = "echo 'cleaned up'"; }
      ];
    };

    # `flaky` may fail, so this runs.
    deploy = {
      needs = [ "build" "flaky" ];
      steps = say "deployed";
    };

    # Never runs here: nothing that it needs has failed.
    alarm = {
      needs = [ "deploy" ];
      condition = "failure()";
      steps = say "the deployment failed";
    };

    # A script decides: exit 0 is yes.
    nightly = {
      needs = [ "build" ];
      condition = ''[ "$(date +%H)" -lt 24 ] && [ -d . ]'';
      steps = say "the hour is right";
    };

    cleanup = {
      needs = [ "deploy" "alarm" ];
      condition = "always() && !cancelled()";
      steps = say "cleaned up";
    };
  };
}
