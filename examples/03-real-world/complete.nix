# A whole pipeline: validate, test, build, deploy, notify, clean up.
#
#   nixactions run examples/03-real-world/complete.nix
#   nixactions run examples/03-real-world/complete.nix --input stage=production
{ nixactions, inputs, lib, ... }:

let
  project = "examples/03-real-world/python-project";
  python = nixactions.actions.setupPython;
in
nixactions.mkWorkflow {
  name = "complete";

  inputs.stage = {
    type = "choice";
    options = [ "staging" "production" ];
    default = "staging";
    description = "Where to deploy";
  };

  env = {
    PROJECT = project;
    STAGE = inputs.stage;
  };
  timeout = "5m";

  jobs = {
    validate = {
      steps = [
        nixactions.actions.checkout
        {
          name = "no-conflict-markers";
          bash = ''
            if grep -rnE '^(<<<<<<<|>>>>>>>) ' "$PROJECT"; then
              echo "conflict markers were left in the files above" >&2
              exit 1
            fi
          '';
        }
        {
          name = "compiles";
          bash = ''python3 -m compileall -q "$PROJECT"'';
        }
      ];
    };

    test = {
      needs = [ "validate" ];
      retry.max_attempts = 2;
      outputs.test-report = {
        path = "report.txt";
        when = "always";
      };
      steps = [
        python
        {
          name = "unit-tests";
          workdir = project;
          bash = ''python3 -m unittest discover -v -s tests -t . 2>&1 | tee "$JOB_DIR/report.txt"'';
        }
      ];
    };

    build = {
      needs = [ "validate" ];
      outputs.package = "dist";
      steps = [
        {
          name = "zipapp";
          bash = ''
            mkdir -p dist
            python3 -m zipapp "$PROJECT" --main calc.cli:main --output dist/calc.pyz
            sha256sum dist/calc.pyz > dist/calc.pyz.sha256
          '';
        }
      ];
    };

    deploy = {
      needs = [ "test" "build" ];
      inputs = [ "package" ];
      outputs.site = "deployed";
      steps = [
        {
          name = "verify";
          bash = "sha256sum --check dist/calc.pyz.sha256";
        }
        {
          name = "deploy-to-${inputs.stage}";
          bash = ''
            mkdir -p "deployed/$STAGE"
            cp dist/calc.pyz "deployed/$STAGE/"
            [[ "$(python3 "deployed/$STAGE/calc.pyz" '6 * 7')" == 42 ]]
            echo "calc is live on $STAGE"
          '';
        }
      ];
    };

    notify = {
      needs = [ "deploy" ];
      condition = "success() || failure()";
      steps = [
        {
          name = "notify";
          bash = ''echo "the deployment to $STAGE ended: $NEEDS_DEPLOY_RESULT"'';
        }
      ];
    };

    cleanup = {
      needs = [ "notify" ];
      condition = "always()";
      executor = nixactions.executors.local {
        copyRepo = false;
        name = "cleanup";
      };
      steps = [ { name = "clean-up"; bash = "echo 'nothing was left behind'"; } ];
    };
  }
  // lib.optionalAttrs (inputs.stage == "production") {
    announce = {
      needs = [ "deploy" ];
      steps = [ { name = "announce"; bash = "echo 'production has a new version'"; } ];
    };
  };
}
