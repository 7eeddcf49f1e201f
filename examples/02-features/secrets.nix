# Secrets: what is secret is masked in every log, also when a step prints it.
#
#   printf 'DEPLOY_TOKEN=hunter2hunter2\n' > .env.secrets      # optional
#   nixactions run examples/02-features/secrets.nix
{ nixactions, ... }:

let
  inherit (nixactions) envProviders secret;
in
nixactions.mkWorkflow {
  name = "secrets";

  # From a file that is not in the repository; it may be absent here, and its values are masked.
  envFrom = [
    (envProviders.file {
      path = ".env.secrets";
      secrets = true;
    })
  ];

  env.API_TOKEN = secret "s3cr3t-example-token";

  jobs = {
    use = {
      steps = [
        {
          name = "sign";
          bash = ''
            printf 'release' | openssl dgst -sha256 -hmac "$API_TOKEN" 2>/dev/null \
              || printf '%s' "release$API_TOKEN" | sha256sum
          '';
        }
        {
          name = "careless";
          # The log shows *** in place of the token, and of its base64 form.
          bash = ''
            echo "the token is $API_TOKEN"
            echo "encoded: $(printf '%s' "$API_TOKEN" | base64)"
          '';
        }
      ];
    };

    deploy = {
      needs = [ "use" ];
      condition = ''[ -n "''${DEPLOY_TOKEN:-}" ]'';
      steps = [ { name = "deploy"; bash = ''echo "deploying with a token of ''${#DEPLOY_TOKEN} characters"''; } ];
    };
  };
}
