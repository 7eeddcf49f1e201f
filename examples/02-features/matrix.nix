# One job for each combination of values, in two ways.
{ nixactions, ... }:

let
  # Makes an attribute set of jobs: check-algorithm-sha1-size-1, check-algorithm-sha1-size-64, …
  checks = nixactions.mkMatrixJobs {
    name = "check";
    matrix = {
      algorithm = [ "sha1" "sha256" ];
      size = [ 1 64 ];
    };
    jobTemplate = { algorithm, size }: {
      steps = [
        {
          name = "checksum";
          bash = ''
            head -c ${toString size}k /dev/zero > data
            ${algorithm}sum data > data.sum
            ${algorithm}sum --check data.sum
          '';
        }
      ];
    };
  };
in
nixactions.mkWorkflow {
  name = "matrix";

  jobs = checks // {
    # Expanded in place; `needs` by the job's name waits for all copies.
    compress = {
      matrix = {
        level = [ 1 9 ];
        tool = [ "gzip" "zlib" ];
        exclude = [ { level = 1; tool = "zlib"; } ];
      };
      outputs.size = "size-of-*.txt";
      steps = { level, tool }: [
        {
          name = "compress";
          bash =
            let
              program = {
                gzip = "gzip -${toString level}";
                zlib = "python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read(), ${toString level}))'";
              };
            in
            ''
              bytes=$(seq 1 20000 | ${program.${tool}} | wc -c)
              echo "$MATRIX_TOOL at level $MATRIX_LEVEL: $bytes bytes" | tee "size-of-$MATRIX_TOOL-$MATRIX_LEVEL.txt"
            '';
        }
      ];
    };

    compare = {
      needs = [ "compress" ];
      inputs = [ "size-level-1-tool-gzip" "size-level-9-tool-gzip" "size-level-9-tool-zlib" ];
      steps = [ { name = "compare"; bash = "cat size-of-*.txt"; } ];
    };
  };
}
