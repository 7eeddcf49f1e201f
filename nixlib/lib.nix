# The usual library functions, for workflow files that run without nixpkgs.
# Names and meanings are those of nixpkgs' lib.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    genList
    getAttr
    hasAttr
    head
    intersectAttrs
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    partition
    replaceStrings
    sort
    stringLength
    substring
    tail
    ;

  trivial = rec {
    id = x: x;
    const = x: _: x;
    flip = f: a: b: f b a;
    compose = f: g: x: f (g x);
    pipe = foldl' (x: f: f x);
    fix = f: let x = f x; in x;
    min = a: b: if a < b then a else b;
    max = a: b: if a > b then a else b;
    mod = a: b: a - b * (a / b);
    boolToString = b: if b then "true" else "false";
    isFunction = f: builtins.isFunction f || (isAttrs f && f ? __functor && builtins.isFunction (f.__functor f));
    functionArgs = f: if isAttrs f then builtins.functionArgs (f.__functor f) else builtins.functionArgs f;
    toFunction = v: if isFunction v then v else _: v;
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    inherit (builtins) add sub lessThan seq deepSeq bitAnd bitOr bitXor;
    warn = msg: builtins.trace "warning: ${msg}";
    warnIf = cond: msg: if cond then warn msg else id;
    warnIfNot = cond: warnIf (!cond);
    trace = builtins.trace;
    throwIf = cond: msg: if cond then throw msg else id;
    throwIfNot = cond: throwIf (!cond);
    assertMsg = cond: msg: cond || throw msg;
    and = a: b: a && b;
    or = a: b: a || b;
    defaultTo = default: v: if v == null then default else v;
    mapNullable = f: v: if v == null then null else f v;
  };

  lists = rec {
    inherit all any concatLists concatMap elem elemAt filter foldl' genList head length map partition sort tail;
    inherit (builtins) groupBy isList;
    singleton = x: [ x ];
    toList = x: if isList x then x else [ x ];
    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: xs: if cond then xs else [ ];
    foldr = op: nul: xs:
      let
        n = length xs;
        go = i: if i == n then nul else op (elemAt xs i) (go (i + 1));
      in
      go 0;
    fold = foldr;
    foldl = op: foldl' op;
    imap0 = f: xs: genList (i: f i (elemAt xs i)) (length xs);
    imap1 = f: xs: genList (i: f (i + 1) (elemAt xs i)) (length xs);
    forEach = xs: f: map f xs;
    range = from: to: if from > to then [ ] else genList (i: from + i) (to - from + 1);
    replicate = n: x: genList (_: x) n;
    flatten = x: if isList x then concatMap flatten x else [ x ];
    remove = x: filter (y: y != x);
    count = p: foldl' (n: x: if p x then n + 1 else n) 0;
    findFirst = p: default: xs:
      let found = filter p xs;
      in if found == [ ] then default else head found;
    unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
    allUnique = xs: length (unique xs) == length xs;
    last = xs:
      if xs == [ ] then throw "lists.last: list must not be empty!" else elemAt xs (length xs - 1);
    init = xs:
      if xs == [ ] then throw "lists.init: list must not be empty!" else take (length xs - 1) xs;
    take = n: sublist 0 n;
    drop = n: xs: sublist n (length xs) xs;
    sublist = start: count: xs:
      let
        n = length xs;
        kept = if start >= n then 0 else if start + count > n then n - start else count;
      in
      genList (i: elemAt xs (start + i)) kept;
    reverseList = xs: let n = length xs; in genList (i: elemAt xs (n - i - 1)) n;
    zipListsWith = f: a: b:
      genList (i: f (elemAt a i) (elemAt b i)) (trivial.min (length a) (length b));
    zipLists = zipListsWith (fst: snd: { inherit fst snd; });
    subtractLists = drop: filter (x: !elem x drop);
    intersectLists = keep: filter (x: elem x keep);
    mutuallyExclusive = a: b: !any (x: elem x a) b;
    sortOn = f: xs: map (p: p.x) (sort (a: b: a.k < b.k) (map (x: { inherit x; k = f x; }) xs));
    naturalSort = sort (a: b: builtins.compareVersions a b < 0);
    crossLists = f: foldl' (fs: args: concatMap (g: map g args) fs) [ f ];
  };

  attrsets = rec {
    inherit attrNames attrValues getAttr hasAttr intersectAttrs isAttrs listToAttrs mapAttrs;
    inherit (builtins) catAttrs removeAttrs zipAttrsWith;
    nameValuePair = name: value: { inherit name value; };
    optionalAttrs = cond: set: if cond then set else { };
    mapAttrs' = f: set: listToAttrs (map (n: f n set.${n}) (attrNames set));
    mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
    attrsToList = mapAttrsToList nameValuePair;
    concatMapAttrs = f: set: foldl' (acc: x: acc // x) { } (mapAttrsToList f set);
    filterAttrs = p: set: removeAttrs set (filter (n: !p n set.${n}) (attrNames set));
    genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
    getAttrs = names: set: genAttrs names (n: set.${n});
    attrVals = names: set: map (n: set.${n}) names;
    mergeAttrsList = foldl' (acc: x: acc // x) { };
    attrByPath = path: default: set:
      if path == [ ] then set
      else if isAttrs set && set ? ${head path} then attrByPath (tail path) default set.${head path}
      else default;
    hasAttrByPath = path: set:
      path == [ ] || (isAttrs set && set ? ${head path} && hasAttrByPath (tail path) set.${head path});
    getAttrFromPath = path:
      attrByPath path (throw "cannot find attribute '${concatStringsSep "." path}'");
    setAttrByPath = path: value:
      if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
    recursiveUpdateUntil = stop: lhs: rhs:
      let
        go = path: a: b:
          a // mapAttrs
            (n: v:
              let here = path ++ [ n ];
              in if a ? ${n} && !stop here a.${n} v then go here a.${n} v else v)
            b;
      in
      go [ ] lhs rhs;
    recursiveUpdate = recursiveUpdateUntil (_: a: b: !(isAttrs a && isAttrs b));
    foldlAttrs = f: init: set: foldl' (acc: n: f acc n set.${n}) init (attrNames set);
    mapAttrsRecursive = f:
      let go = path: mapAttrs (n: v: if isAttrs v then go (path ++ [ n ]) v else f (path ++ [ n ]) v);
      in go [ ];
    collect = p: v:
      if p v then [ v ] else if isAttrs v then concatMap (collect p) (attrValues v) else [ ];
    zipAttrs = zipAttrsWith (_: vs: vs);
    cartesianProduct = set:
      foldl'
        (rows: n: concatMap (row: map (v: row // { ${n} = v; }) set.${n}) rows)
        [ { } ]
        (attrNames set);
    isDerivation = v: v.type or null == "derivation";
    getOutput = output: pkg: if pkg.outputSpecified or false then pkg else pkg.${output} or pkg.out or pkg;
    getBin = getOutput "bin";
  };

  strings = rec {
    inherit concatStringsSep isString replaceStrings stringLength substring;
    inherit (builtins) match split toJSON fromJSON compareVersions splitVersion toString;
    versionOlder = a: b: builtins.compareVersions b a == 1;
    versionAtLeast = a: b: !versionOlder a b;
    concatStrings = concatStringsSep "";
    concatMapStrings = f: xs: concatStrings (map f xs);
    concatMapStringsSep = sep: f: xs: concatStringsSep sep (map f xs);
    concatImapStringsSep = sep: f: xs: concatStringsSep sep (lists.imap1 f xs);
    concatLines = concatMapStrings (line: line + "\n");
    concatMapAttrsStringSep = sep: f: set: concatStringsSep sep (attrsets.mapAttrsToList f set);
    optionalString = cond: s: if cond then s else "";
    intersperse = sep: xs:
      if length xs < 2 then xs else [ (head xs) ] ++ concatMap (x: [ sep x ]) (tail xs);
    stringToCharacters = s: genList (i: substring i 1 s) (stringLength s);
    stringAsChars = f: s: concatMapStrings f (stringToCharacters s);
    hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
    hasSuffix = suffix: s:
      let
        n = stringLength s;
        m = stringLength suffix;
      in
      n >= m && substring (n - m) m s == suffix;
    hasInfix = infix: s: length (builtins.split (escapeRegex infix) s) > 1;
    removePrefix = prefix: s:
      if hasPrefix prefix s then substring (stringLength prefix) (-1) s else s;
    removeSuffix = suffix: s:
      if hasSuffix suffix s then substring 0 (stringLength s - stringLength suffix) s else s;
    splitString = sep: s:
      filter isString (builtins.split (escapeRegex (toString sep)) (toString s));
    escape = chars: replaceStrings chars (map (c: "\\" + c) chars);
    escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg = arg:
      let s = toString arg;
      in
      if builtins.match "[[:alnum:],._+:@%/-]+" s != null then s
      else "'${replaceStrings [ "'" ] [ "'\\''" ] s}'";
    escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    toShellVar = name: value:
      if isAttrs value && !(value ? outPath || value ? __toString) then
        "declare -A ${name}=(${concatStringsSep " " (attrsets.mapAttrsToList (k: v: "[${escapeShellArg k}]=${escapeShellArg v}") value)})"
      else if isList value then "declare -a ${name}=(${escapeShellArgs value})"
      else "${name}=${escapeShellArg value}";
    toShellVars = vars: concatStringsSep "\n" (attrsets.mapAttrsToList toShellVar vars);
    lowerChars = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
    upperChars = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    toLower = replaceStrings upperChars lowerChars;
    toUpper = replaceStrings lowerChars upperChars;
    trim = s: let m = builtins.match "[ \t\r\n]*(.*[^ \t\r\n])[ \t\r\n]*" s; in if m == null then "" else head m;
    fixedWidthString = width: fill: s:
      if stringLength s >= width then s else fixedWidthString width fill (fill + s);
    fixedWidthNumber = width: n: fixedWidthString width "0" (toString n);
    toInt = s:
      let
        m = builtins.match "[ ]*(-?)0*([0-9]+)[ ]*" s;
        n = builtins.fromJSON (elemAt m 1);
      in
      if m == null then throw "toInt: could not convert ${builtins.toJSON s} to an integer"
      else if elemAt m 0 == "-" then 0 - n else n;
    fileContents = path: removeSuffix "\n" (builtins.readFile path);
    splitLines = splitString "\n";
    makeSearchPath = sub: pkgs:
      concatMapStringsSep ":" (p: "${p}/${sub}") (filter (p: p != null) pkgs);
    makeBinPath = pkgs: makeSearchPath "bin" (map attrsets.getBin pkgs);
    getName = x: if isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
    getVersion = x: if isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
    getExe = pkg: getExe' pkg (pkg.meta.mainProgram or (getName pkg));
    getExe' = pkg: program: "${attrsets.getBin pkg}/bin/${program}";
    isStringLike = v: isString v || builtins.isPath v || (isAttrs v && (v ? outPath || v ? __toString));
  };
in
trivial
// lists
// attrsets
// strings
// {
  inherit trivial lists attrsets strings;
}
