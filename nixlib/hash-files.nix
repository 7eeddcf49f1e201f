# One hash over the project's files that match any of the globs (`*`, `?`, `**`); the empty
# string when none does.
{ lib, projectDir }:
globs:
let
  inherit (builtins) any attrNames concatMap hashFile hashString match readDir;

  # A glob as a regular expression over a path relative to the project.
  regexOf = glob:
    let
      pieces = builtins.split "(\\*\\*/|\\*\\*|\\*|\\?)" glob;
      one = piece:
        if builtins.isString piece then lib.escapeRegex piece
        else
          {
            "**/" = "(.*/)?";
            "**" = ".*";
            "*" = "[^/]*";
            "?" = "[^/]";
          }.${builtins.head piece};
    in
    lib.concatMapStrings one pieces;

  regexes = map (g: regexOf (lib.removePrefix "./" g)) (lib.toList globs);
  wanted = path: any (re: match re path != null) regexes;
  # Globs without `**` never look deeper than they have slashes.
  depth = glob: if lib.hasInfix "**" glob then 1000 else builtins.length (lib.splitString "/" glob);
  deepest = builtins.foldl' lib.max 0 (map depth (lib.toList globs));

  walk = level: dir: prefix:
    let entries = readDir dir;
    in
    concatMap
      (name:
        let
          path = prefix + name;
          kind = entries.${name};
        in
        if kind == "directory" then
          if name == ".git" || level >= deepest then [ ] else walk (level + 1) (dir + "/${name}") "${path}/"
        else if wanted path then [ { inherit path; file = dir + "/${name}"; } ]
        else [ ])
      (attrNames entries);

  files = walk 1 projectDir "";
in
if projectDir == null then throw "hashFiles works on a project's files, and there is no project here"
else if files == [ ] then ""
else hashString "sha256" (lib.concatMapStrings (f: "${f.path}\n${hashFile "sha256" f.file}\n") files)
