{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test.steps = [ { bash = ''
    for f in *; do echo ${f}; done
  ''; } ];
}
