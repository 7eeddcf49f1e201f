# The smallest useful workflow: one job that looks at the repository it is in.
#
#   nixactions run examples/01-basic/simple.nix
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "simple";

  jobs.hello = {
    steps = [
      nixactions.actions.checkout
      {
        name = "count-files";
        bash = ''
          files=$(find . -type f -not -path './.git/*' | wc -l)
          echo "hello from $JOB_NAME: $files files here"
        '';
      }
    ];
  };
}
