# For flakes: a package that runs a workflow with our program, and carries the workflow in
# `passthru.workflow`, where `nixactions run .#NAME` finds it. What the workflow refers to in the store
# becomes a dependency of the package. `nixactions` is the library, `program` the package of our program.
{ nixactions, pkgs, program }:
args:
let
  inherit (builtins) attrNames filter isAttrs isFunction isList isPath listToAttrs mapAttrs removeAttrs toJSON;

  workflow = nixactions.mkWorkflow args;
  name = workflow.name or "workflow";

  isDerivation = v: v.type or null == "derivation";
  plainSet = v: mapAttrs (_: plain) (removeAttrs v [ "__functor" "__functionArgs" "_matrix" "_written" ]);
  # The value as data: what JSON cannot say is said by sets that `restore` below knows, none with an
  # `outPath`, which JSON would take in its place.
  plain = v:
    if isFunction v then throw "the workflow `${name}` holds a function, which a package cannot carry; name the workflow as an output of the flake instead: `nixactions.${name}`"
    else if isList v then map plain v
    else if isPath v then { _path = "${v}"; }
    else if !(isAttrs v) then v
    else if isDerivation v then { _package = { name = v.name or "package"; path = "${v}"; meta.mainProgram = v.meta.mainProgram or null; }; }
    else if v._type or null == "secret" then throw "a secret of the workflow `${name}` would be written into the store; take it from the environment with `nixactions.fromEnv`"
    else plainSet v;

  withMatrix = filter (job: isAttrs workflow.jobs.${job} && workflow.jobs.${job} ? matrix) (attrNames workflow.jobs);
  # A job with a matrix may have functions in it; its copies have none.
  jobs = mapAttrs
    (job: v: if isAttrs v && v ? matrix then { matrix = plain v.matrix; steps = [ { bash = "true"; } ]; } else plain v)
    workflow.jobs;
  data = plainSet (removeAttrs workflow [ "jobs" "extensions" ]) // {
    inherit jobs;
    _matrix = listToAttrs (map (job: { name = job; value = plain workflow._matrix.${job}; }) withMatrix);
  };

  restore = ''
    let
      inherit (builtins) fromJSON isAttrs isList mapAttrs readFile removeAttrs storePath;
      restore = v:
        if isList v then map restore v
        else if !(isAttrs v) then v
        else if v ? _package then removeAttrs v._package [ "path" ] // { type = "derivation"; outPath = storePath v._package.path; }
        else if v ? _path then /. + v._path
        else mapAttrs (_: restore) v;
    in
    restore (fromJSON (readFile ./workflow.json))
  '';
in
pkgs.runCommand name
{
  json = toJSON data;
  inherit restore;
  passAsFile = [ "json" "restore" ];
  passthru = { inherit workflow; };
  meta.mainProgram = name;
} ''
  mkdir -p $out/bin $out/share/nixactions
  cp $jsonPath $out/share/nixactions/workflow.json
  cp $restorePath $out/share/nixactions/workflow.nix
  {
    echo "#!/bin/sh"
    echo "exec ${program}/bin/nixactions run --project . $out/share/nixactions/workflow.nix \"\$@\""
  } > $out/bin/${name}
  chmod +x $out/bin/${name}
''
