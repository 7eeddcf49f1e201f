# A workflow that other workflows run as one of their jobs, with inputs and results.
{ nixactions, ... }:

let
  # In a project this is a file of its own: `uses = ./package.nix;`.
  package = { inputs, ... }: nixactions.mkWorkflow {
    name = "package";
    inputs = {
      flavour = { required = true; description = "what to package"; };
      level = { type = "number"; default = 6; };
    };
    jobs = {
      pack = {
        steps = [
          {
            id = "pack";
            bash = ''
              mkdir -p content
              echo "the ${inputs.flavour} edition" > content/readme
              tar -c content | gzip -${toString inputs.level} > package.tar.gz
              echo "size=$(stat -c %s package.tar.gz)" >> "$NIXACTIONS_OUTPUT"
            '';
          }
        ];
        outputs.package = "package.tar.gz";
        results.size = "steps.pack.size";
      };
      verify = {
        needs = [ "pack" ];
        inputs = [ "package" ];
        steps = [ { bash = "tar -tzf package.tar.gz"; } ];
      };
    };
    results.size = "jobs.pack.size";
  };
in
nixactions.mkWorkflow {
  name = "reusable";

  jobs = {
    # Runs as package-flavour-basic/pack, package-flavour-basic/verify, and so on.
    package = {
      matrix.flavour = [ "basic" "full" ];
      uses = package;
      "with" = vars: { inherit (vars) flavour; };
    };

    publish = {
      needs = [ "package" ];
      inputs = [ { name = "package-flavour-full/package"; path = "full"; } ];
      steps = [
        {
          bash = ''
            tar -xzOf full/package.tar.gz content/readme
            echo "basic has $NEEDS_PACKAGE_FLAVOUR_BASIC_SIZE bytes, full has $NEEDS_PACKAGE_FLAVOUR_FULL_SIZE"
          '';
        }
      ];
    };
  };
}
