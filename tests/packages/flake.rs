//! The flake of this repository: what Nix makes of it, and what we do.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::inputs::{git, write};
use crate::run::{Project, assert_contains, out};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

/// This repository's flake as a git repository, with our small set in the place of nixpkgs, and with the program as
/// built where `runs`.
fn our_flake(p: &Project, runs: bool) -> PathBuf {
    let nixpkgs = p.dir.path().join("nixpkgs");
    write(
        &nixpkgs.join("flake.nix"),
        "{ outputs = { self }: let systems = [ \"x86_64-linux\" \"aarch64-linux\" ]; in { legacyPackages = builtins.listToAttrs (map (system: { name = system; value = import ./. { inherit system; }; }) systems); }; }",
    );
    for (from, to) in [("set", "set/default.nix"), ("nixpkgs", "default.nix")] {
        let text = std::fs::read_to_string(format!("{ROOT}/tests/packages/{from}/default.nix"));
        write(&nixpkgs.join(to), &text.expect("a set"));
    }
    let flake = p.dir.path().join("nixactions");
    for name in ["Cargo.toml", "Cargo.lock"] {
        write(&flake.join(name), &std::fs::read_to_string(format!("{ROOT}/{name}")).expect("a file"));
    }
    for file in std::fs::read_dir(format!("{ROOT}/nixlib")).expect("a directory").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a file");
        write(&flake.join("nixlib").join(file.file_name()), &text);
    }
    let mut text = std::fs::read_to_string(format!("{ROOT}/flake.nix")).expect("a flake");
    let input = "github:NixOS/nixpkgs/nixos-unstable";
    assert!(text.contains(input));
    text = text.replace(input, &format!("path:{}", nixpkgs.display()));
    if runs {
        let built = Path::new(env!("CARGO_BIN_EXE_nixactions"));
        let bin = p.dir.path().join("program/bin");
        std::fs::create_dir_all(&bin).expect("made");
        std::os::unix::fs::symlink(built, bin.join("nixactions")).expect("linked");
        let program = "program = self.packages.${system}.default;";
        assert!(text.contains(program));
        text = text.replace(program, &format!("program = \"{}/program\";", p.dir.path().display()));
    }
    write(&flake.join("flake.nix"), &text);
    git(&flake, &["init", "-q"]);
    git(&flake, &["add", "."]);
    flake
}

#[test]
fn package_overlay_and_shell_are_what_nix_makes_of_them() {
    let p = Project::new();
    let flake = our_flake(&p, false);
    let expr = format!(
        r#"let
  flake = builtins.getFlake "git+file://{}";
  of = system: let pkgs = flake.inputs.nixpkgs.legacyPackages.${{system}}; in {{
    package = flake.packages.${{system}}.nixactions.drvPath;
    default = flake.packages.${{system}}.default.drvPath;
    shell = flake.devShells.${{system}}.default.drvPath;
    overlay = (pkgs.extend flake.overlays.default).nixactions.drvPath;
    workflow = (flake.lib.${{system}}.mkWorkflow {{ name = "ci"; jobs.a.steps = [ {{ bash = "true"; }} ]; }}).drvPath;
  }};
  meta = flake.packages.x86_64-linux.default.meta;
in {{ x86_64 = of "x86_64-linux"; aarch64 = of "aarch64-linux"; main = meta.mainProgram; systems = meta.platforms; }}"#,
        flake.display()
    );
    let locked = p.daemon.command("nix").args(["flake", "lock"]).current_dir(&flake).output().expect("nix");
    assert!(locked.status.success(), "{}", out(&locked));
    git(&flake, &["add", "flake.lock"]);
    let json = |output: Output| -> serde_json::Value {
        assert!(output.status.success(), "{}", out(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let args = ["--extra-experimental-features", "flakes", "--json", "--strict"];
    let ours = json(p.run(&[&["eval"][..], &args, &["-E", &expr]].concat()));
    let theirs = p
        .daemon
        .command("nix-instantiate")
        .args(["--eval", "--read-write-mode"])
        .args(args)
        .args(["-E", &expr])
        .output();
    assert_eq!(ours, json(theirs.expect("nix")));
    for system in ["x86_64", "aarch64"] {
        let of = &ours[system];
        assert_eq!(of["package"], of["default"]);
        assert_eq!(of["package"], of["overlay"]);
        assert_ne!(of["package"], of["shell"]);
    }
    assert_eq!(ours["main"], "nixactions");
}

#[test]
fn packages_that_carry_workflows_are_the_same_run() {
    let p = Project::new();
    let dir = p.path();
    let library = our_flake(&p, true);
    let system = system();
    write(
        &dir.join("flake.nix"),
        &format!(
            r#"{{
  inputs.nixactions.url = "git+file://{}";
  outputs = {{ self, nixactions }}: {{
    packages.{system}.ci = nixactions.lib.{system}.mkWorkflow {{
      name = "ci";
      jobs.a = {{
        matrix.n = [ 1 2 ];
        steps = vars: [ {{ bash = "echo n is ${{toString vars.n}}; cat data.txt"; }} ];
      }};
      jobs.b = {{
        needs = [ "a" ];
        executor = nixactions.lib.{system}.executors.local {{ copyRepo = false; }};
        steps = [ {{ deps = [ nixactions.inputs.nixpkgs.legacyPackages.{system}.greet ]; bash = "greet b; exit 7"; }} ];
      }};
    }};
  }};
}}"#,
            library.display()
        ),
    );
    write(&dir.join("data.txt"), "of the project\n");
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "."]);
    let direct = p.run(&["run", ".#ci", "--format", "json"]);
    assert_eq!(direct.status.code(), Some(1), "{}", out(&direct));
    let mut nix = p.daemon.command("nix");
    nix.args(["run", ".#ci", "--impure", "--", "--format", "json"]).current_dir(&dir);
    nix.env("XDG_CACHE_HOME", p.dir.path().join("cache")).env_remove("NIX_PATH");
    let by_nix = nix.output().expect("nix");
    assert_eq!(by_nix.status.code(), Some(1), "{}", out(&by_nix));
    let told = told(&direct);
    assert!(!by_nix.stdout.is_empty(), "{}", out(&by_nix));
    assert_eq!(told, self::told(&by_nix));
    for text in ["n is 1", "n is 2", "of the project", "hello, b"] {
        assert!(told.iter().any(|(_, _, said)| said == text), "{text}: {told:?}");
    }
    // The package holds the same plan, and one can be run beside the other.
    let link = p.dir.path().join("result");
    let args = ["build", ".#ci", "--impure", "--out-link", &link.to_string_lossy()];
    let built = p.daemon.command("nix").args(args).current_dir(&dir).output().expect("nix");
    assert!(built.status.success(), "{}", out(&built));
    let file = format!("{}/share/nixactions/workflow.nix", link.canonicalize().expect("a link").display());
    let plan = |args: &[&str]| {
        let output = p.run(args);
        assert!(output.status.success(), "{}", out(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let theirs = plan(&["plan", "--format", "json", "--project", ".", &file]);
    let ours = plan(&["plan", "--format", "json", ".#ci"]);
    assert_eq!(ours["jobs"].as_array().map(Vec::len), Some(3));
    assert_eq!(without_store(ours), without_store(theirs));
    // From a directory below, too, the whole project is what the run has.
    std::fs::create_dir(dir.join("below")).expect("made");
    let mut below = p.daemon.command("nix");
    below
        .args(["run", "..#ci", "--impure", "--", "--job", "a", "--format", "simple"])
        .current_dir(dir.join("below"));
    let below = below.env("XDG_CACHE_HOME", p.dir.path().join("cache")).output().expect("nix");
    assert!(below.status.success(), "{}", out(&below));
    assert_contains(&below, "of the project");
}

/// What the jobs of a run printed and how they ended, in an order of its own.
fn told(output: &Output) -> Vec<(String, String, String)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let word = |event: &serde_json::Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = events
        .filter(|e| e["job"].is_string())
        .map(|e| {
            let said = word(&e, "text") + &word(&e, "result");
            (word(&e, "job"), word(&e, "event") + &word(&e, "type"), said)
        })
        .collect();
    all.sort();
    all
}

/// A plan without the derivations it brings along: built packages are plain paths to the one, derivations to the
/// other.
fn without_store(mut plan: serde_json::Value) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.remove("store");
                map.remove("objects");
                map.values_mut().for_each(strip);
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut plan);
    plan
}
