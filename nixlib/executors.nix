# Executors: where jobs run. Each is a value, and a function from options to such a value.
let
  executor = kind: options: {
    _type = "executor";
    inherit kind options;
    __functor = _: executor kind;
  };
  kinds = [ "local" "ssh" "oci" "podman" "nixos-container" "compose" "k8s" "nomad" ];
in
{
  executors = builtins.listToAttrs (map (name: { inherit name; value = executor name { }; }) kinds);

  # An executor made of the user's own hooks: texts, or functions to one. What is known only when
  # they run stands in their texts as `@nixactions:NAME@`.
  mkExecutor =
    {
      name,
      copyRepo ? true,
      workspaceDir ? "/tmp/nixactions",
      setupWorkspace ? null,
      cleanupWorkspace ? null,
      setupJob ? null,
      executeJob ? null,
      cleanupJob ? null,
      saveArtifact ? null,
      restoreArtifact ? null,
    }:
    let
      later = {
        jobName = "@nixactions:jobName@";
        name = "@nixactions:name@";
        path = "@nixactions:path@";
        env = { };
        actionDerivations = [
          { name = "action"; pname = "action"; outPath = "@nixactions:action@"; meta.mainProgram = "action"; passthru = { }; }
        ];
      };
      call = hook:
        if !builtins.isFunction hook then hook
        else
          let wanted = builtins.functionArgs hook;
          in hook (if wanted == { } then later else builtins.intersectAttrs wanted later);
      given = {
        inherit setupWorkspace cleanupWorkspace setupJob executeJob cleanupJob saveArtifact restoreArtifact;
      };
      names = builtins.filter (hook: given.${hook} != null) (builtins.attrNames given);
    in
    {
      _type = "executor";
      kind = "custom";
      options = {
        inherit name copyRepo workspaceDir;
        hooks = builtins.listToAttrs (map (hook: { name = hook; value = call given.${hook}; }) names);
      };
    };
}
