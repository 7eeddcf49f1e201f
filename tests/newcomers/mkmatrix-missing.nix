{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs = nixactions.mkMatrixJobs { matrix.os = [ "linux" ]; jobTemplate = { os, arch }: { steps = [ { bash = "make"; } ]; }; };
}
