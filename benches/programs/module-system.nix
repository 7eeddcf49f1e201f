# A module system of our own: merging definitions of hundreds of options by type and priority.
let
  options = builtins.listToAttrs (builtins.genList (i: {
    name = "option${toString i}";
    value = { default = i; type = if i - i / 2 * 2 == 0 then "int" else "listOf"; };
  }) 6000);
  modules = builtins.genList (m: { config, ... }: {
    config = builtins.listToAttrs (builtins.genList (i: let n = i * 10 + m; in {
      name = "option${toString n}";
      value = if n - n / 2 * 2 == 0 then { priority = 100 - m; content = n + m; } else { priority = 50; content = [ m (config."option${toString (n - 1)}" or 0) ]; };
    }) 600);
  }) 10;
  merge = type: defs:
    let top = builtins.foldl' (a: d: if d.priority < a then d.priority else a) 1000 defs; kept = builtins.filter (d: d.priority == top) defs;
    in if type == "int" then (builtins.head kept).content else builtins.concatMap (d: d.content) kept;
  config = let
    evaluated = map (m: (m { inherit config options; }).config) modules;
    defs = builtins.zipAttrsWith (n: vs: vs) evaluated;
  in builtins.mapAttrs (n: o: if defs ? ${n} then merge o.type defs.${n} else o.default) options;
in builtins.deepSeq config (builtins.hashString "sha256" (builtins.toJSON config))
