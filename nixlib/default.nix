# The `nixactions` argument of a workflow file. `pkgs` is null when there is no nixpkgs.
{
  system ? "x86_64-linux",
  pkgs ? null,
  projectDir ? null,
}:
let
  lib = import ./lib.nix;
  matrix = import ./matrix.nix;
  workflow = import ./workflow.nix;
  executors = import ./executors.nix;
  needPkgs = what:
    if pkgs != null then pkgs
    else throw "${what} needs nixpkgs, which was not found; give it with --pkgs PATH, a `nixpkgs` input in flake.lock, or NIX_PATH";
  actions = import ./actions.nix { inherit lib pkgs needPkgs; };
in
{
  inherit lib actions;
  inherit (workflow) mkWorkflow mkJob;
  inherit (matrix) mkMatrixJobs;
  inherit (executors) executors mkExecutor;
  envProviders = import ./env-providers.nix;
  jobs = import ./jobs.nix { inherit lib actions; };

  linuxPkgs =
    let p = needPkgs "nixactions.linuxPkgs";
    in
    if lib.hasSuffix "-linux" system then p
    else import p.path { system = "${lib.removeSuffix "-darwin" system}-linux"; };

  # A value that is masked wherever it appears.
  secret = value: { _type = "secret"; inherit value; };

  # A reference to a variable of the environment nixactions runs in, resolved at run time.
  fromEnv = name: { _type = "fromEnv"; inherit name; };

  hashFiles = import ./hash-files.nix { inherit lib projectDir; };
}
