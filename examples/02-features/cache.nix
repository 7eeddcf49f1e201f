# What is kept between runs: a cache with fallbacks, and a job that is not run again when nothing that
# it depends on has changed. One run at a time, because they share a release.
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "cache";
  concurrency.group = "example-cache";

  jobs = {
    dependencies = {
      cache = [
        {
          key = "example-deps-${nixactions.hashFiles [ "Cargo.lock" ]}";
          paths = [ "deps" ];
          restoreKeys = [ "example-deps-" ];
        }
      ];
      steps = [
        {
          name = "fetch";
          bash = ''
            if [[ $NIXACTIONS_CACHE_HIT == true ]]; then
              echo "all of it was there"
            else
              mkdir -p deps && echo "fetched" > deps/library
            fi
            cat deps/library
          '';
        }
      ];
    };

    translate = {
      needs = [ "dependencies" ];
      skipIfUnchanged.inputs = [ "*.nix" ];
      outputs.text = "out.txt";
      steps = [ { bash = "echo translated > out.txt"; } ];
    };

    use = {
      needs = [ "translate" ];
      inputs = [ "text" ];
      steps = [ { bash = "cat out.txt"; } ];
    };
  };
}
