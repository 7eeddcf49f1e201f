# Inputs with types: `nixactions run inputs.nix --input stage=live --input dryRun=false`.
{ nixactions, inputs, ... }:

nixactions.mkWorkflow {
  name = "inputs";

  inputs = {
    stage = { type = "choice"; options = [ "test" "live" ]; default = "test"; description = "where to deploy"; };
    replicas = { type = "number"; default = 2; };
    dryRun = { type = "boolean"; default = true; };
  };

  jobs = {
    plan = {
      steps = [
        {
          id = "plan";
          bash = ''
            echo "${toString inputs.replicas} replicas on ${inputs.stage}"
            echo "revision=$(date +%Y%m%d)-${inputs.stage}" >> "$NIXACTIONS_OUTPUT"
          '';
        }
      ];
      results.revision = "steps.plan.revision";
    };

    deploy = {
      needs = [ "plan" ];
      steps = [
        { bash = "echo ${if inputs.dryRun then "would deploy" else "deploying"} $NEEDS_PLAN_REVISION"; }
      ];
    };
  };
}
