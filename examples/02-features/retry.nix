# Steps that fail now and then: tried again, with a delay that grows. A timeout ends one attempt.
{ nixactions, ... }:

let
  # Fails until it has been called `n` times.
  flaky = n: ''
    count=$(( $(cat attempts 2>/dev/null || echo 0) + 1 ))
    echo "$count" > attempts
    echo "attempt $count"
    [[ "$count" -ge ${toString n} ]]
  '';
in
nixactions.mkWorkflow {
  name = "retry";

  # For every step that does not say otherwise.
  retry = {
    max_attempts = 3;
    backoff = "exponential";
    min_time = "100ms";
    max_time = 2;
  };

  jobs = {
    exponential.steps = [ { name = "flaky"; bash = flaky 3; } ];

    linear.steps = [
      {
        name = "flaky";
        bash = flaky 2;
        retry.backoff = "linear";
      }
    ];

    slow.steps = [
      {
        name = "too-slow-at-first";
        timeout = 1;
        retry = {
          backoff = "constant";
          on = [ "timeout" ];
        };
        bash = ''
          if [[ ! -e warm ]]; then
            touch warm
            sleep 30
          fi
          echo "warm now"
        '';
      }
    ];

    once.steps = [
      {
        name = "never-again";
        retry = null;
        continueOnError = true;
        bash = "echo 'this fails once'; false";
      }
    ];
  };
}
