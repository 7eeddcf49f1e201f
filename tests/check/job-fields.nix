{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "job-fields";
  jobs = {
    a = {
      executor = "local";
      needs = { };
      condition = "sucess()";
      continueOnError = "true";
      env = {
        "MY-VAR" = "1";
        LIST = [ 1 ];
      };
      envFrom = [ "file" ];
      timeout = -5;
      retry = {
        max_attempts = 0;
        backoff = "linaer";
        jitter = 2;
      };
      inputs = [ 3 ];
      outputs = {
        abs = "/etc/passwd";
        up = "../x";
      };
      tags = "fast";
      pure = 1;
      stesp = [ ];
    };
    b = 3;
    c = { steps = [ ]; };
    d = { actions = [ { bash = "true"; } ]; "if" = "always()"; condition = "failure()"; };
    e = { executor = nixactions.executors.local { copyrepo = false; }; steps = [ { bash = "true"; } ]; };
    "f/g".steps = [ { bash = "true"; } ];
  };
}
