# Files from one job to another. An artifact keeps its path below the job directory, and its dot
# files, modes and symbolic links.
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "artifacts";

  jobs = {
    build = {
      outputs = {
        tool = "dist";
        log = {
          path = "build.log";
          when = "always";
        };
      };
      steps = [
        {
          name = "build";
          bash = ''
            mkdir -p dist/bin
            printf '#!/usr/bin/env bash\necho "built on %s"\n' "$(uname -s)" > dist/bin/tool
            chmod +x dist/bin/tool
            echo "hidden" > dist/.config
            ln -s bin/tool dist/latest
            echo "built dist/bin/tool" > build.log
          '';
        }
      ];
    };

    test = {
      needs = [ "build" ];
      inputs = [
        "tool"
        { name = "log"; path = "logs"; }
      ];
      steps = [
        {
          name = "run-it";
          bash = ''
            ./dist/bin/tool
            [[ -L dist/latest && -f dist/.config ]]
            cat logs/build.log
          '';
        }
      ];
    };
  };
}
