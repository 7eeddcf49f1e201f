# Standard steps. Each that takes options is both a step and a function from options to a step.
{ lib, pkgs, needPkgs }:
let
  q = lib.escapeShellArg;

  # A step that can also be called with options.
  configurable = make: make { } // { __functor = _: options: make options; };

  # Shell functions shared by the steps that set up a tool.
  setup = ''
    fail() { echo "$*" >&2; exit 1; }
    # matches WANTED FOUND: FOUND is WANTED or a version below it (18 matches 18.4.0).
    matches() { [[ -z "$1" || "$2" == "$1" || "$2" == "$1".* ]]; }
    # later DIR: puts DIR first on the PATH of the steps that follow.
    later() { printf 'PATH=%q:"$PATH"\n' "$1" >> "$JOB_ENV"; }
  '';

  tool =
    { name, version, deps, bash }:
    {
      inherit name deps;
      bash = ''
        ${setup}
        wanted=${q (if version == null then "" else toString version)}
        ${bash}
        ${lib.optionalString (deps != [ ]) ''later "$(dirname "$program")"''}
      '';
    };

  # The package for a version from nixpkgs, the default one when that name is not there.
  pick = names: if pkgs == null then [ ] else
    let found = lib.filter (n: pkgs ? ${n}) names;
    in lib.optional (found != [ ]) pkgs.${lib.head found};

  parts = version: if version == null then [ ] else lib.filter builtins.isString (builtins.split "\\." (toString version));

  npm = name: command: {
    inherit name;
    bash = ''
      command -v npm >/dev/null || { echo "npm is not on the PATH; add actions.setupNode before this step" >&2; exit 1; }
      ${command}
    '';
  };
in
{
  # Without a repository: verifies the copy of the project that the job runs in. With one: clones.
  checkout = configurable (
    { repository ? null, ref ? null, depth ? 1, path ? "." }:
    {
      name = "checkout";
      bash =
        if repository != null then
          ''
            target=${q path}
            if [[ -e "$target" && -n "$(ls -A -- "$target")" ]]; then
              echo "cannot clone into '$target': it is not empty; give \`path\`, or run the job with copyRepo = false" >&2
              exit 1
            fi
            git init --quiet -- "$target"
            git -C "$target" fetch --quiet ${lib.optionalString (depth != null && depth != 0) "--depth ${toString depth} "}-- ${q repository} ${q (if ref == null then "HEAD" else ref)}
            git -C "$target" -c advice.detachedHead=false checkout --quiet FETCH_HEAD
            git -C "$target" remote add origin ${q repository}
            echo "checked out $(git -C "$target" rev-parse HEAD) of "${q repository}
          ''
        else
          ''
            ${lib.optionalString (ref != null) ''
              git -c advice.detachedHead=false checkout --quiet ${q ref}
            ''}
            if commit=$(git rev-parse --verify --quiet HEAD 2>/dev/null); then
              echo "checked out $commit"
              git --no-pager log -1 --format='%s (%an)'
            elif [[ -n "$(ls -A)" ]]; then
              echo "the project is not a git repository with a commit; its files are here"
            else
              echo "nothing is checked out: the job directory is empty (copyRepo = false?)" >&2
              exit 1
            fi
          '';
    }
  );

  setupNode = configurable (
    { version ? null }:
    tool {
      name = "setup-node";
      inherit version;
      deps = pick (lib.optional (version != null) "nodejs_${lib.head (parts version)}" ++ [ "nodejs" ]);
      bash = ''
        program=$(command -v node) || fail "node is not installed on this machine, and there is no nixpkgs to take it from"
        found=$(node --version); found=''${found#v}
        matches "$wanted" "$found" || fail "node $wanted was asked for, and $program is $found"
        echo "node $found ($program)"
      '';
    }
  );

  setupPython = configurable (
    { version ? null }:
    tool {
      name = "setup-python";
      inherit version;
      deps = pick (lib.optional (version != null) "python${lib.concatStrings (lib.take 2 (parts version))}" ++ [ "python3" ]);
      bash = ''
        program= seen=
        for name in ''${wanted:+"python$wanted"} python3 python; do
          candidate=$(command -v "$name") || continue
          found=$("$candidate" -c 'import platform; print(platform.python_version())')
          if matches "$wanted" "$found"; then program=$candidate; break; fi
          seen="$seen $candidate is $found;"
        done
        [[ -n "$program" ]] || fail "python $wanted is not installed on this machine, and there is no nixpkgs to take it from;$seen"
        # Later steps say python or python3: make both mean the one that was chosen.
        tools=$JOB_DIR/.nixactions-python
        mkdir -p "$tools"
        ln -sf "$program" "$tools/python3"
        ln -sf "$program" "$tools/python"
        later "$tools"
        echo "python $found ($program)"
      '';
    }
  );

  setupRust = configurable (
    { version ? null }:
    tool {
      name = "setup-rust";
      inherit version;
      deps = lib.optionals (pkgs != null) [ pkgs.rustc pkgs.cargo ];
      bash = ''
        program=$(command -v cargo) || fail "cargo is not installed on this machine, and there is no nixpkgs to take it from"
        found=$(rustc --version); found=''${found#rustc }; found=''${found%% *}
        matches "$wanted" "$found" || fail "rust $wanted was asked for, and $(command -v rustc) is $found"
        ${lib.optionalString (pkgs != null) ''later "$(dirname "$(command -v rustc)")"''}
        echo "rust $found ($program)"
      '';
    }
  );

  npmInstall = npm "npm-install" ''
    if [[ -e package-lock.json || -e npm-shrinkwrap.json ]]; then npm ci; else npm install; fi
  '';
  npmTest = npm "npm-test" "npm test";
  npmBuild = npm "npm-build" "npm run build";
  npmLint = npm "npm-lint" "npm run lint";

  # Packages of nixpkgs by name, on the PATH of the steps that follow.
  nixShell = names:
    let
      set = needPkgs "actions.nixShell";
      # Names that a misspelt one was likely meant to be: they begin alike and are about as long.
      near = n:
        let
          begin = builtins.substring 0 2;
          apart = c: builtins.stringLength c - builtins.stringLength n;
          like = c: begin c == begin n && apart c <= 2 && apart c >= -2;
        in
        lib.take 3 (lib.filter like (builtins.attrNames set));
      missing = n:
        let found = near n;
        in
        throw "nixpkgs has no package `${n}`${
          if found == [ ] then "" else "; did you mean ${lib.concatMapStringsSep " or " (f: "`${f}`") found}?"
        }";
      packages = map (n: lib.attrByPath (lib.splitString "." n) (missing n) set) names;
    in
    {
      name = "nix-shell: ${lib.concatStringsSep " " names}";
      deps = packages;
      bash = ''
        printf 'PATH=%q:"$PATH"\n' ${q (lib.makeBinPath packages)} >> "$JOB_ENV"
      '';
    };
}
