# A `;` is missing; the keys before and after are still looked at.
{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.lint.stesp = [ { bash = "make lint"; } ];
  jobs.build = {
    steps = [ { bash = "make"; } ]
  };
  jobs.test = {
    need = [ "lint" ];
    steps = [ { bash = "make test"; } ];
  };
}
