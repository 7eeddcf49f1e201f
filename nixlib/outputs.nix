# The workflows among the outputs of a flake, by name: those of `nixactions.SYSTEM` or `nixactions`, and
# those that packages of the system carry (what `mkWorkflow` of our flake makes). With `select` only
# that one is looked at.
{ outputs, system, select }:
let
  inherit (builtins) attrNames filter isAttrs listToAttrs tryEval;

  set = v: if isAttrs v then v else { };
  own = set (outputs.nixactions or { });
  direct = if own ? ${system} then set own.${system} else own;
  packages = set (outputs.packages.${system} or { });

  carries = name:
    let found = tryEval (isAttrs packages.${name} && packages.${name} ? passthru && packages.${name}.passthru ? workflow);
    in found.success && found.value;
  names = if select == null then attrNames packages else filter (n: packages ? ${n}) [ select ];
  carried = listToAttrs (map (name: { inherit name; value = packages.${name}.passthru.workflow; }) (filter carries names));
in
carried // direct
