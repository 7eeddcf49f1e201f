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
  # A program that prints `export NAME=value` lines: `command { argv = [ "./env.sh" ]; }`.
  command = provider "command";
}
