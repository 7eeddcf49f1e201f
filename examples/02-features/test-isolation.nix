# Each job has its own directory with its own copy of the project: what one job does to its files
# another never sees, whether they run side by side or one after the other.
{ nixactions, ... }:

let
  job = name: {
    steps = [
      {
        name = "write";
        bash = ''
          echo ${name} > private.txt
          export LEAK=${name}
        '';
      }
      {
        name = "only-mine";
        bash = ''
          [[ "$(cat private.txt)" == ${name} ]]
          # A variable exported in one step is gone in the next.
          [[ -z "''${LEAK:-}" ]]
        '';
      }
    ];
  };
in
nixactions.mkWorkflow {
  name = "test-isolation";

  jobs = {
    one = job "one";
    two = job "two";

    after = {
      needs = [ "one" "two" ];
      steps = [
        {
          name = "nothing-left-over";
          bash = ''
            [[ ! -e private.txt ]]
            echo "the files of the other jobs are not here"
          '';
        }
      ];
    };

    # Without a copy of the project the directory is empty.
    empty = {
      executor = nixactions.executors.local {
        copyRepo = false;
        name = "empty";
      };
      steps = [ { name = "empty"; bash = ''[[ -z "$(ls)" ]]''; } ];
    };
  };
}
