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

  # An executor made of the user's own hooks.
  mkExecutor = options: { _type = "executor"; kind = "custom"; inherit options; };
}
