# Environment variables and who wins: step over job over workflow, variables over providers, and
# the environment nixactions was started in over all of them (try `STAGE=prod nixactions run …`).
{ nixactions, ... }:

let
  inherit (nixactions) envProviders;
  expect = name: value: ''
    if [[ "''${${name}-unset}" != ${nixactions.lib.escapeShellArg value} ]]; then
      echo "${name} is <''${${name}-unset}>, not <${value}>" >&2
      exit 1
    fi
  '';
in
nixactions.mkWorkflow {
  name = "test-env";

  env = {
    NA_LEVEL = "workflow";
    NA_WORKFLOW = "workflow";
    NA_NUMBER = 42;
    NA_FLAG = true;
    NA_RATIO = 0.5;
  };
  envFrom = [
    (envProviders.static {
      NA_LEVEL = "workflow provider";
      NA_PROVIDED = "by the workflow";
    })
  ];

  jobs = {
    levels = {
      env.NA_LEVEL = "job";
      steps = [
        {
          name = "job-over-workflow";
          bash = expect "NA_LEVEL" "job" + expect "NA_WORKFLOW" "workflow" + expect "NA_PROVIDED" "by the workflow";
        }
        {
          name = "step-over-job";
          env.NA_LEVEL = "step";
          bash = expect "NA_LEVEL" "step";
        }
        {
          name = "a-step-keeps-its-env-to-itself";
          bash = expect "NA_LEVEL" "job";
        }
      ];
    };

    types = {
      steps = [
        {
          name = "numbers-and-booleans";
          bash = expect "NA_NUMBER" "42" + expect "NA_FLAG" "true" + expect "NA_RATIO" "0.5";
        }
        {
          name = "null-unsets";
          env.NA_WORKFLOW = null;
          bash = expect "NA_WORKFLOW" "unset";
        }
      ];
    };

    required = {
      envFrom = [
        (envProviders.static { NA_REGION = "eu"; })
        (envProviders.required [ "NA_REGION" ])
      ];
      steps = [ { name = "region"; bash = expect "NA_REGION" "eu"; } ];
    };
  };
}
