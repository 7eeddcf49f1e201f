{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.test = { condition = "sucess()"; if = "failure() && true"; steps = [ { bash = "make"; } ]; };
}
