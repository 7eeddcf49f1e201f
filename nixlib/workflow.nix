# mkWorkflow and mkJob: plain data with a tag. Checking and meaning are the program's.
let
  inherit (builtins) foldl' isAttrs isFunction isList mapAttrs;
  matrix = import ./matrix.nix;

  callable = f: isFunction f || (isAttrs f && f ? __functor);

  defaults = {
    env = { };
    envFrom = [ ];
    retry = null;
    timeout = null;
    extensions = [ ];
  };

  # A value of the wrong shape goes through as it is: the checker says what is wrong with it.
  apply = acc: extension:
    if !(isAttrs acc) || !(callable extension) then acc else extension acc;

  extend = args:
    let extensions = args.extensions or [ ];
    in
    if !(isList extensions) || extensions == [ ] then args else foldl' apply (defaults // args) extensions;
in
{
  mkJob = job: if isAttrs job then job // { _type = "job"; } else job;

  mkWorkflow = args:
    let workflow = extend args;
    in
    if !(isAttrs args) then args
    else if !(isAttrs workflow) then args // { _type = "workflow"; _extended = workflow; }
    else
      workflow // {
        _type = "workflow";
        # One entry for each job, looked at only for those with a `matrix`.
        _matrix =
          if isAttrs (workflow.jobs or null) then mapAttrs (_: matrix.expand) workflow.jobs else { };
      };
}
