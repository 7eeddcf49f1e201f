# Variables from one step to the next through the file $JOB_ENV.
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "env-sharing";

  jobs.release = {
    steps = [
      {
        name = "version";
        bash = ''
          count=$(git rev-list --count HEAD 2>/dev/null || echo 0)
          echo "VERSION=0.$count.0" >> "$JOB_ENV"
          # Sourced by bash, so quotes and `export` work too.
          echo "export TITLE='release of the day'" >> "$JOB_ENV"
        '';
      }
      {
        name = "use";
        bash = ''
          echo "$TITLE: $VERSION"
          [[ "$VERSION" == 0.*.0 ]]
        '';
      }
      {
        name = "change";
        bash = ''echo "VERSION=$VERSION-rc1" >> "$JOB_ENV"'';
      }
      {
        name = "see-the-change";
        bash = ''[[ "$VERSION" == *-rc1 ]] && echo "now $VERSION"'';
      }
    ];
  };
}
