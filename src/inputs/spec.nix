# The inputs that a flake asks for, as plain data: `flake` is what its flake.nix holds.
flake:
let
  inherit (builtins) attrNames functionArgs isFunction isPath listToAttrs mapAttrs removeAttrs toString;
  text = v: if isPath v then "path:" + toString v else v;
  spec = _: input: {
    flake = input.flake or true;
    follows = input.follows or null;
    source =
      if input ? url then text input.url
      else mapAttrs (_: text) (removeAttrs input [ "flake" "follows" "inputs" "url" ]);
    inputs = mapAttrs spec (input.inputs or { });
  };
  # An argument of `outputs` that is no input is one of the registry.
  arguments = if isFunction (flake.outputs or null) then attrNames (functionArgs flake.outputs) else [ ];
  implied = listToAttrs (map (name: { inherit name; value = { }; }) (builtins.filter (n: n != "self") arguments));
in
builtins.toJSON (mapAttrs spec (implied // (flake.inputs or { })))
