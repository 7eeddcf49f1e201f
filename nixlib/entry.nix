# How a workflow file becomes workflows. `given` is what the file evaluates to, `offered` the
# arguments that its pattern may name, `overrides` those of the command line, `select` the name
# after `#` or null, `inputs` the values of `--input` or `with`: `texts` says that they are texts of
# the command line. `placeholders` gives a required input a value, for checking.
{
  given,
  offered ? { },
  overrides ? { },
  select ? null,
  inputs ? { },
  texts ? true,
  placeholders ? false,
  currentDir ? "",
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
  typed = d: value:
    let type = d.type or "string";
    in
    if !texts then value
    else if type == "number" then
      let n = builtins.tryEval (builtins.fromJSON value);
      in if n.success then n.value else value
    else if type == "boolean" then value == "true"
    else if type == "path" then
      if builtins.substring 0 1 value == "/" then /. + value else /. + "${currentDir}/${value}"
    else value;
  # The value of an input that is not required and has no default, as in GitHub Actions.
  empty = name: d:
    let type = d.type or "string";
    in
    if type == "number" then 0
    else if type == "boolean" then false
    else if type == "choice" && d.options or [ ] != [ ] then builtins.head d.options
    else if type == "path" then missing name
    else "";
  # Stands for a value that only a run gives.
  placeholder = name: d:
    let type = d.type or "string";
    in
    if type == "path" then /. + currentDir else if type == "string" then name else empty name d;
  missing = name:
    throw "the workflow input `${name}` has no value; give it with --input ${name}=VALUE";
  inputValues =
    mapAttrs
      (name: d:
        if inputs ? ${name} then typed d inputs.${name}
        else if !isAttrs d then throw "the workflow input `${name}` is not declared by a set"
        else d.default or (
          if placeholders then placeholder name d
          else if d.required or false == true then missing name
          else empty name d
        ))
      declared;

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
