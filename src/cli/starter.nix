# A workflow: `nixactions check` checks it, `nixactions run` runs it.
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "ci";

  # Variables for every step; steps and jobs can have their own.
  env.GREETING = "hello";

  jobs = {
    lint = {
      steps = [
        {
          name = "files";
          bash = "ls";
        }
      ];
    };

    test = {
      # Starts when `lint` has succeeded.
      needs = [ "lint" ];
      timeout = "5m";
      steps = [
        {
          name = "greet";
          bash = ''
            echo "$GREETING from $JOB_NAME"
          '';
        }
      ];
    };
  };
}
