{ nixactions, ... }:
nixactions.mkWorflow {
  name = "ci";
  jobs.test.steps = [ { bash = "make"; } ];
}
