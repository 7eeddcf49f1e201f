# Environment providers: where variables come from at run time.
let
  provider = kind: options: {
    _type = "envProvider";
    inherit kind options;
  };
in
{
  file = provider "file";
  static = env: provider "static" { inherit env; };
  required = names: provider "required" { inherit names; };
  sops = provider "sops";
  age = provider "age";
  # Secret managers, through the command line program of each.
  vault = provider "vault";
  onePassword = provider "onePassword";
  bitwarden = provider "bitwarden";
  awsSecrets = provider "awsSecrets";
  gcpSecrets = provider "gcpSecrets";
  azureKeyVault = provider "azureKeyVault";
  doppler = provider "doppler";
  # A program that prints `export NAME=value` lines: `command { argv = [ "./env.sh" ]; }`.
  command = provider "command";
}
