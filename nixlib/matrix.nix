# Matrices: every combination of the axes, adjusted by `include` and `exclude`.
let
  inherit (builtins)
    all
    attrNames
    concatMap
    concatStringsSep
    filter
    foldl'
    isAttrs
    isFunction
    isList
    listToAttrs
    map
    mapAttrs
    ;

  options = [ "include" "exclude" "failFast" "maxParallel" ];
  listOr = v: if isList v then v else [ ];

  # The axes: everything that is not an option and has the shape of an axis. What has another
  # shape is left to the checker, which points at it.
  axesOf = matrix:
    let names = filter (n: isList matrix.${n}) (attrNames (removeAttrs matrix options));
    in listToAttrs (map (name: { inherit name; value = matrix.${name}; }) names);

  product = axes:
    foldl' (rows: axis: concatMap (row: map (v: row // { ${axis} = v; }) axes.${axis}) rows) [ { } ] (attrNames axes);

  agrees = pattern: row: all (n: row ? ${n} && row.${n} == pattern.${n}) (attrNames pattern);

  # `include` adds to the rows with whose axes it agrees, never changing an axis; when it agrees
  # with none it is a row of its own. Rows made by `include` are not added to.
  combinations = matrix:
    let
      axes = axesOf matrix;
      base = if axes == { } then [ ] else product axes;
      kept = filter (row: !builtins.any (pattern: isAttrs pattern && agrees pattern row) (listOr (matrix.exclude or [ ]))) base;
      overlap = entry: builtins.intersectAttrs axes entry;
      apply = acc: entry:
        let matches = row: agrees (overlap entry) (builtins.intersectAttrs axes row);
        in
        if axes != { } && builtins.any matches acc.rows then
          acc // { rows = map (row: if matches row then row // removeAttrs entry (attrNames axes) else row) acc.rows; }
        else
          acc // { added = acc.added ++ [ entry ]; };
      result = foldl' apply { rows = kept; added = [ ]; } (filter isAttrs (listOr (matrix.include or [ ])));
    in
    result.rows ++ result.added;

  text = v:
    if builtins.isString v then v
    else if builtins.isBool v then (if v then "true" else "false")
    else if builtins.isInt v then toString v
    else if isAttrs v && v ? name then text v.name
    else if isAttrs v && (v ? outPath || v ? __toString) then toString v
    else builtins.replaceStrings [ "\"" "{" "}" "[" "]" "," ":" " " ] [ "" "" "" "" "" "-" "-" "" ] (builtins.toJSON v);

  suffix = vars: concatStringsSep "-" (concatMap (n: [ n (text vars.${n}) ]) (attrNames vars));

  # A field of a job is a value or a function of the combination. An executor is a value although
  # it can be called, because it is a set; and what `uses` names is a workflow that is a function.
  # The fields as they are written go along, for the places of their names.
  specialise = vars: fields:
    mapAttrs (name: field: if isFunction field && name != "uses" then field vars else field) fields
    // { _written = fields; };
in
{
  inherit combinations specialise suffix text;

  # What a job with a `matrix` stands for: one entry for each combination.
  expand = job:
    map
      (vars: {
        inherit vars;
        suffix = suffix vars;
        values = mapAttrs (_: text) vars;
        job = specialise vars (removeAttrs job [ "matrix" ]);
      })
      (combinations job.matrix);

  mkMatrixJobs =
    { name, matrix, jobTemplate ? null, ... }@args:
    let
      fields = removeAttrs args [ "name" "matrix" "jobTemplate" ];
      # No axis means no jobs, which nobody means.
      wrong = filter (n: !isList matrix.${n}) (attrNames (removeAttrs matrix options));
      make = vars:
        if jobTemplate == null then specialise vars fields
        else if isFunction jobTemplate then specialise vars fields // jobTemplate vars
        else specialise vars (fields // jobTemplate);
    in
    if wrong != [ ] then
      throw "mkMatrixJobs: the axis `${builtins.head wrong}` must be a list, as in `[ \"a\" \"b\" ]`"
    else
      listToAttrs (map (vars: { name = "${name}-${suffix vars}"; value = make vars; }) (combinations matrix));
}
