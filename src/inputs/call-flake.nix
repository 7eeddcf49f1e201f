# The outputs of a flake, and of all that it needs, each made when it is asked for. `lock` is the lock
# file's content, `source` the tree of the flake itself and `dir` its directory in it, `fetch` gives
# the tree of a locked reference.
{ lock, source, dir, fetch }:
let
  inherit (builtins) foldl' isString mapAttrs removeAttrs substring;

  follow = path: foldl' (key: name: target lock.nodes.${key}.inputs.${name}) lock.root path;
  target = edge: if isString edge then edge else follow edge;

  below = base: sub: if sub == "" then base else base + "/" + sub;
  isRelative = locked: locked.type or "" == "path" && substring 0 1 (locked.path or "/") != "/";

  nodes = mapAttrs
    (key: node:
      let
        locked = node.locked or { };
        inner = isRelative locked;
        # Older lock files do not name the parent, which then is the root.
        parent = nodes.${follow (node.parent or [ ])};
        sourceInfo =
          if key == lock.root then source
          else if inner then parent.sourceInfo
          else fetch (removeAttrs locked [ "dir" ]);
        subdir =
          if key == lock.root then dir
          else if inner then below parent.subdir locked.path
          else locked.dir or "";
        outPath = below "${sourceInfo}" subdir;
        flake = import (outPath + "/flake.nix");
        inputs = mapAttrs (_: edge: nodes.${target edge}.result) (node.inputs or { });
        outputs = flake.outputs (inputs // { self = result; });
        result = outputs // sourceInfo // {
          inherit outPath inputs outputs sourceInfo;
          _type = "flake";
        };
        plain = sourceInfo // { inherit outPath; };
      in
      {
        inherit sourceInfo subdir;
        result = if node.flake or true then result else plain;
      })
    lock.nodes;
in
nodes.${lock.root}.result
