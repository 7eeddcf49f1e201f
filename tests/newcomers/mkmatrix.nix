{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs = nixactions.mkMatrixJobs { name = "test"; matrix.os = "linux"; jobTemplate = { os }: { steps = [ { bash = "make"; } ]; }; };
}
