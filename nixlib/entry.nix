# How a workflow file becomes workflows. `given` is what the file evaluates to, `offered` the
# arguments that its pattern may name, `overrides` those of the command line, `select` the name
# after `#` or null, `inputs` the values of `--input`.
{
  given,
  offered ? { },
  overrides ? { },
  select ? null,
  inputs ? { },
}:
let
  inherit (import ./workflow.nix) mkWorkflow;
  inherit (builtins) functionArgs intersectAttrs isAttrs isFunction mapAttrs;

  isWorkflow = v: isAttrs v && (v._type or null == "workflow" || v ? jobs);
  normal = v: if isAttrs v && v._type or null != "workflow" then mkWorkflow v else v;

  # The one workflow whose `inputs` the file's own `inputs` argument stands for.
  chosen = if isWorkflow result || !isAttrs result || select == null then result else result.${select} or { };
  declared = let d = if isAttrs chosen then chosen.inputs or { } else { }; in if isAttrs d then d else { };
  # A value of the command line is a text; the program reports one that its type does not fit.
  typed = d: text:
    if d.type or "string" == "number" then
      let n = builtins.tryEval (builtins.fromJSON text);
      in if n.success then n.value else text
    else if d.type or "string" == "boolean" then text == "true"
    else text;
  inputValues =
    mapAttrs (name: d: if inputs ? ${name} then typed d inputs.${name} else d.default or (throw "the workflow input `${name}` has no value; give it with --input ${name}=VALUE")) declared;

  all = offered // { inputs = inputValues; } // overrides;
  result =
    if isFunction given then given (intersectAttrs (functionArgs given) all)
    else if isAttrs given && given ? __functor then given all
    else given;
in
{
  single = isWorkflow result;
  workflows =
    if isWorkflow result then { default = normal result; }
    else if isAttrs result then mapAttrs (_: normal) result
    else { };
  value = result;
}
