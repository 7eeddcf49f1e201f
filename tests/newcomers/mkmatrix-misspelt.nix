{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs = nixactions.mkMatrixJobs { name = "test"; mtarix.os = [ "linux" ]; jobTemplate = { os }: { steps = [ { bash = "make ${os}"; } ]; }; };
}
