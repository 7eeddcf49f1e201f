# Jobs without `needs` run side by side; a job starts as soon as the last one it needs has ended.
{ nixactions, ... }:

let
  # A job that counts the tracked files with lines that match.
  scan = title: pattern: {
    steps = [
      {
        name = title;
        bash = ''
          hits=$(git grep -c -I -E ${nixactions.lib.escapeShellArg pattern} -- . || true)
          echo "files with ${title}: $(printf '%s' "$hits" | grep -c . || true)" | tee "${title}.txt"
        '';
      }
    ];
    outputs."scan-${title}" = "${title}.txt";
  };
in
nixactions.mkWorkflow {
  name = "parallel";

  jobs = {
    todos = scan "todos" "TODO|FIXME";
    long-lines = scan "long-lines" "^.{120,}";
    trailing-space = scan "trailing-space" "[ ]+$";

    report = {
      needs = [ "todos" "long-lines" "trailing-space" ];
      inputs = [ "scan-todos" "scan-long-lines" "scan-trailing-space" ];
      steps = [
        {
          name = "summary";
          bash = "cat todos.txt long-lines.txt trailing-space.txt";
        }
      ];
    };
  };
}
