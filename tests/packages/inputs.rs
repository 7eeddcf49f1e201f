//! Sources from elsewhere: import from derivation, fetchers with their cache, lock files, flakes.

use std::path::Path;
use std::process::Command;

use crate::run::{PACKAGES, Project, assert_contains, out};
use crate::server::Server;

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, text).expect("written");
}

pub(crate) fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").arg("-C").arg(dir).args(identity).args(args).output().expect("git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An archive made by the machine's tar, compressed as its name says.
pub(crate) fn tar(dir: &Path, name: &str) -> Vec<u8> {
    let file = dir.with_extension("archive").with_file_name(name);
    let output = Command::new("tar")
        .arg("-caf")
        .arg(&file)
        .arg("-C")
        .arg(dir.parent().expect("a parent"))
        .arg(dir.file_name().expect("a name"))
        .output()
        .expect("tar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).expect("an archive")
}

pub(crate) fn eval(p: &Project, expr: &str) -> std::process::Output {
    p.run(&["eval", "--extra-experimental-features", "flakes", "--strict", "--json", "-E", expr])
}

pub(crate) fn value(p: &Project, expr: &str) -> String {
    let output = eval(p, expr);
    assert!(output.status.success(), "{expr}:\n{}", out(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn what_was_built_can_be_imported_and_read() {
    let p = Project::new();
    let nix = format!(
        "let {PACKAGES} made = build \"made\" \"mkdir $out; echo '{{ x = 42; }}' > $out/default.nix; printf hi > $out/f\"; in"
    );
    assert_eq!(value(&p, &format!("{nix} (import made).x")), "42");
    assert_eq!(value(&p, &format!("{nix} builtins.readFile \"${{made}}/f\"")), "\"hi\"");
    assert_eq!(
        value(&p, &format!("{nix} builtins.readDir made")),
        r#"{"default.nix":"regular","f":"regular"}"#
    );
    assert_eq!(
        value(
            &p,
            &format!(
                "{nix} builtins.pathExists (builtins.storePath (builtins.unsafeDiscardStringContext \"${{made}}\") + \"/f\")"
            )
        ),
        "true"
    );
    let failing = format!("let {PACKAGES} bad = build \"bad\" \"echo oh no; exit 5\"; in import bad");
    let output = eval(&p, &failing);
    assert_eq!(output.status.code(), Some(1));
    assert_contains(&output, "cannot build `bad` during evaluation");
    assert_contains(&output, "oh no");
    // A check builds nothing, and says nothing about what it cannot know.
    p.workflow(
        "names = import (build \"names\" \"echo '[ { bash = \\\"true\\\"; } ]' > $out\");",
        "a.steps = names; b.steps = [ { bsh = 1; } ];",
    );
    let check = p.run(&["check"]);
    assert_contains(&check, "did you mean `bash`");
    assert!(!out(&check).contains("of job `a`"), "{}", out(&check));
    p.workflow(
        "names = import (build \"names\" \"echo '[ { bash = \\\"true\\\"; } ]' > $out\");",
        "a.steps = names;",
    );
    let run = p.run(&["run"]);
    assert!(run.status.success(), "{}", out(&run));
}

#[test]
fn downloads_are_verified_tried_again_and_kept() {
    let p = Project::new();
    let s = Server::start();
    s.give("/f", 500, "", "");
    s.give("/f", 0, "", "hello, half of this is lost");
    s.give("/f", 200, "ETag: \"1\"\r\n", "hello");
    let file = format!("builtins.readFile (builtins.fetchurl \"{}/f\")", s.url);
    assert_eq!(value(&p, &file), "\"hello\"");
    assert_eq!(s.asked(), 3);
    assert_eq!(value(&p, &file), "\"hello\"");
    assert_eq!(s.asked(), 3, "what was just fetched is not asked for again");
    let wrong = format!(
        "builtins.readFile (builtins.fetchurl {{ url = \"{}/f\"; sha256 = \"{}\"; }})",
        s.url,
        "0".repeat(52)
    );
    let output = eval(&p, &wrong);
    assert_contains(&output, "hash mismatch in file downloaded from");
    assert_contains(&eval(&p, &format!("builtins.fetchurl \"{}/none\"", s.url)), "the server answers 404");

    let source = p.dir.path().join("tree");
    write(&source.join("default.nix"), "\"in the archive\"");
    for name in ["t.tar.gz", "t.tar.xz", "t.tar.bz2", "t.tar.zst", "t.tar"] {
        if name.ends_with("zst") && Command::new("zstd").arg("--version").output().is_err() {
            continue;
        }
        s.give(&format!("/{name}"), 200, "", tar(&source, name));
        let expr = format!("import (builtins.fetchTarball \"{}/{name}\")", s.url);
        assert_eq!(value(&p, &expr), "\"in the archive\"", "{name}");
    }
    // The search path takes URLs as well.
    let entry = format!("x={}/t.tar.gz", s.url);
    let output = p.run(&["eval", "-I", &entry, "-E", "import <x>"]);
    assert_contains(&output, "in the archive");
    let asked = s.asked();
    let offline = p.run(&["eval", "--offline", "-I", &entry, "-E", "import <x>"]);
    assert_contains(&offline, "in the archive");
    let other =
        p.run(&["eval", "--offline", "-E", &format!("import (fetchTarball \"{}/other.tar.gz\")", s.url)]);
    assert_contains(&other, "is not in the cache, and nothing may be fetched");
    assert_eq!(s.asked(), asked);

    s.give("/bad.tar.gz", 200, "", "this is no archive");
    assert_contains(&eval(&p, &format!("import (fetchTarball \"{}/bad.tar.gz\")", s.url)), "cannot unpack");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let p = Project::new();
    let s = Server::start();
    s.give("/f", 200, "", "hello");
    let file = p.dir.path().join("a-file");
    write(&file, "");
    let expr = format!("builtins.fetchurl \"{}/f\"", s.url);
    let output = p.command(&["eval", "-E", &expr]).env("XDG_CACHE_HOME", &file).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_contains(&output, "cannot write to the cache of fetched sources below");
    assert_contains(&output, "XDG_CACHE_HOME");
}

#[test]
fn git_repositories_are_fetched_by_name_and_by_commit() {
    let p = Project::new();
    let repo = p.dir.path().join("repo");
    write(&repo.join("default.nix"), "\"first\"");
    write(&repo.join("run.sh"), "#!/bin/sh\n");
    git(p.dir.path(), &["init", "-q", "repo"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "1"]);
    let head = Command::new("git").arg("-C").arg(&repo).args(["rev-parse", "HEAD"]).output().expect("git");
    let first = String::from_utf8_lossy(&head.stdout).trim().to_owned();
    write(&repo.join("default.nix"), "\"second\"");
    git(&repo, &["commit", "-qam", "2"]);
    let url = repo.display();
    let get = |rest: &str| format!("import (builtins.fetchGit {{ url = \"file://{url}\"; {rest} }})");
    assert_eq!(value(&p, &get(&format!("rev = \"{first}\";"))), "\"first\"");
    assert_eq!(value(&p, &get("ref = \"main\";")), "\"second\"");
    let facts = format!(
        "with builtins.fetchGit {{ url = \"file://{url}\"; ref = \"main\"; }}; [ revCount shortRev (builtins.stringLength rev) ]"
    );
    assert!(value(&p, &facts).starts_with("[2,\""), "{}", value(&p, &facts));
    // A working tree with changes: what git tracks, as it is.
    write(&repo.join("default.nix"), "\"changed\"");
    write(&repo.join("untracked"), "");
    assert_eq!(value(&p, &format!("import (fetchGit {url})")), "\"changed\"");
    assert_eq!(value(&p, &format!("builtins.pathExists \"${{fetchGit {url}}}/untracked\"")), "false");
    assert_contains(&eval(&p, &get(&format!("rev = \"{}\";", "1".repeat(40)))), "it has no commit 1111");
    // A name is that of the store path, as with Nix 2.34.
    let named = format!(
        "baseNameOf (fetchGit {{ url = \"file://{url}\"; rev = \"{first}\"; name = \"named\"; }}).outPath"
    );
    assert!(value(&p, &named).ends_with("-named\""), "{}", value(&p, &named));
    // The store path is Nix's.
    let expr = format!("(builtins.fetchGit {{ url = \"file://{url}\"; rev = \"{first}\"; }}).narHash");
    let theirs =
        p.daemon.command("nix-instantiate").args(["--eval", "--json", "-E", &expr]).output().expect("nix");
    assert_eq!(value(&p, &expr), String::from_utf8_lossy(&theirs.stdout).trim(), "{}", out(&theirs));
}

#[test]
fn flakes_are_evaluated_with_their_inputs() {
    let p = Project::new();
    let s = Server::start();
    let dep = p.dir.path().join("dep");
    write(
        &dep.join("flake.nix"),
        "{ inputs.base.url = \"path:/nowhere\"; outputs = { self, base }: { x = \"dep and ${base.name}\"; }; }",
    );
    let base = p.dir.path().join("base");
    write(&base.join("flake.nix"), "{ outputs = { self }: { name = \"base\"; }; }");
    s.give("/base.tar.gz", 200, "", tar(&base, "base.tar.gz"));
    let dir = p.path();
    write(&dir.join("sub/flake.nix"), "{ outputs = { self }: { y = 3; }; }");
    write(&dir.join("data.txt"), "data");
    write(
        &dir.join("flake.nix"),
        &format!(
            r#"{{
  inputs.base.url = "{}/base.tar.gz";
  inputs.dep = {{ url = "path:{}"; inputs.base.follows = "base"; }};
  inputs.plain = {{ url = "path:{}"; flake = false; }};
  inputs.sub.url = "path:./sub";
  outputs = {{ self, base, dep, plain, sub }}: {{
    all = [ dep.x sub.y (builtins.readFile "${{self}}/data.txt") (builtins.pathExists "${{plain}}/flake.nix") ];
  }};
}}"#,
            s.url,
            dep.display(),
            base.display()
        ),
    );
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "."]);
    let expr = format!("(builtins.getFlake \"git+file://{}\").all", dir.display());
    assert_eq!(value(&p, &expr), r#"["dep and base",3,"data",true]"#);
    // The lock file that Nix writes holds, hashes included.
    let nix = p.daemon.command("nix").args(["flake", "lock"]).current_dir(&dir).output().expect("nix");
    if nix.status.success() {
        git(&dir, &["add", "."]);
        assert_eq!(value(&p, &expr), r#"["dep and base",3,"data",true]"#);
        let lock = std::fs::read_to_string(dir.join("flake.lock")).expect("a lock file");
        let hash = lock.split("narHash\": \"").nth(1).and_then(|t| t.split('"').next()).expect("a hash");
        write(
            &dir.join("flake.lock"),
            &lock.replace(hash, "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        );
        assert_contains(&eval(&p, &expr), "hash mismatch");
    } else {
        // Nix 2.8 does not know relative inputs.
        assert!(out(&nix).contains("sub") || out(&nix).contains("path"), "{}", out(&nix));
    }
}

#[test]
fn workflows_of_flakes_run() {
    let p = Project::new();
    let dir = p.path();
    let packages = dir.join("nixpkgs");
    write(
        &packages.join("default.nix"),
        &format!(
            "{{ system ? null, ... }}: let {PACKAGES} in {{ tool = pkg \"tool\" \"echo the tool of the lock file\"; lib = {{ }}; }}"
        ),
    );
    write(
        &dir.join("flake.lock"),
        &format!(
            r#"{{ "version": 7, "root": "root", "nodes": {{ "root": {{ "inputs": {{ "nixpkgs": "nixpkgs" }} }},
            "nixpkgs": {{ "flake": false, "locked": {{ "type": "path", "path": "{0}" }}, "original": {{ "type": "path", "path": "{0}" }} }} }} }}"#,
            packages.display()
        ),
    );
    write(
        &dir.join("flake.nix"),
        r#"{
  inputs.nixpkgs = { url = "path:NIXPKGS"; flake = false; };
  outputs = { self, nixpkgs }: {
    nixactions.ci = { name = "ci"; _type = "workflow"; jobs.a.steps = [ { bash = "echo from the flake; cat data.txt"; } ]; };
    nixactions.wrong = { name = "wrong"; _type = "workflow"; jobs.a.stepz = [ ]; };
  };
}"#
        .replace("NIXPKGS", &packages.display().to_string())
        .as_str(),
    );
    write(&dir.join("data.txt"), "data of the project\n");
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "."]);
    let run = p.run(&["run", ".#ci", "--format", "simple"]);
    assert!(run.status.success(), "{}", out(&run));
    assert_contains(&run, "a/step-1: from the flake");
    assert_contains(&run, "a/step-1: data of the project");
    let wrong = p.run(&["run", ".#wrong"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", out(&wrong));
    assert_contains(
        &wrong,
        &format!("{}/flake.nix:", dir.display()).replace(&format!("{}/", dir.display()), ""),
    );
    assert_contains(&wrong, "did you mean `steps`");
    assert_contains(&p.run(&["list"]), "ci");
    // `pkgs` of a workflow file beside it is that of the lock file.
    write(
        &dir.join("ci.nix"),
        "{ nixactions, pkgs, ... }: nixactions.mkWorkflow { name = \"t\"; jobs.a.steps = [ { deps = [ pkgs.tool ]; bash = \"tool\"; } ]; }",
    );
    let run = p.run(&["run", "ci.nix", "--format", "simple"]);
    assert!(run.status.success(), "{}", out(&run));
    assert_contains(&run, "the tool of the lock file");
}

#[test]
fn sources_of_flakes_are_copied_and_filtered_again() {
    let p = Project::new();
    let dir = p.path();
    write(&dir.join("src/kept"), "kept\n");
    write(&dir.join("src/dropped"), "dropped\n");
    write(&dir.join("untracked"), "");
    write(
        &dir.join("flake.nix"),
        &format!(
            r#"{{ outputs = {{ self }}: let
  {PACKAGES}
  whole = builtins.path {{ path = ./.; name = "source"; }};
  again = builtins.path {{ path = ./.; name = "source"; filter = _: _: true; }};
  some = builtins.path {{ path = ./src; name = "some"; filter = path: _: baseNameOf path != "dropped"; }};
  of = builtins.path {{ path = some + "/kept"; name = "of"; }};
  text = builtins.path {{ path = builtins.toFile "t" "a text\n"; name = "text"; }};
in {{
  same = whole == self.outPath && again == whole;
  read = [ (builtins.readFile ./src/kept) (builtins.attrNames (builtins.readDir some)) (builtins.readFile of) (builtins.readFile text) ];
  nixactions.ci = {{ name = "ci"; _type = "workflow"; jobs.a.steps = [
    {{ bash = "cat ${{build "copy" "cat ${{again}}/src/dropped ${{some}}/* ${{of}} > $out"}}; cat ${{of}}; ls ${{whole}}"; }}
  ]; }};
}}; }}"#
        ),
    );
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "flake.nix", "src"]);
    let flake = format!("builtins.getFlake \"git+file://{}\"", dir.display());
    let expr = format!("with {flake}; [ read same ]");
    let read = r#"[["kept\n",["kept"],"kept\n","a text\n"],true]"#;
    assert_eq!(value(&p, &expr), read);
    let args =
        ["--eval", "--read-write-mode", "--extra-experimental-features", "flakes", "--strict", "--json"];
    let theirs = p.daemon.command("nix-instantiate").args(args).args(["-E", &expr]).output().expect("nix");
    assert_eq!(String::from_utf8_lossy(&theirs.stdout).trim(), read, "{}", out(&theirs));
    let run = p.run(&["run", ".#ci", "--format", "simple"]);
    assert!(run.status.success(), "{}", out(&run));
    let said = out(&run);
    let lines = said.lines().filter_map(|l| l.strip_prefix("a/step-1: "));
    let lines: Vec<&str> = lines.skip(1).take_while(|l| !l.starts_with("success")).collect();
    assert_eq!(lines, ["dropped", "kept", "kept", "kept", "flake.nix", "src"]);
}

#[test]
fn workflows_of_flakes_elsewhere_run() {
    let p = Project::new();
    let repo = p.dir.path().join("repo");
    write(
        &repo.join("ci/flake.nix"),
        r#"{ outputs = { self }: { nixactions.ci = { name = "ci"; _type = "workflow"; jobs.a.steps = [ { bash = "cat ci/data.txt"; } ]; }; }; }"#,
    );
    write(&repo.join("ci/data.txt"), "data of the flake\n");
    git(p.dir.path(), &["init", "-q", "repo"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "1"]);
    let reference = format!("git+file://{}?dir=ci#ci", repo.display());
    let run = p.run(&["run", &reference, "--format", "simple"]);
    assert!(run.status.success(), "{}", out(&run));
    assert_contains(&run, "a/step-1: data of the flake");
    let again = p.run(&["rerun", "--format", "simple"]);
    assert!(again.status.success(), "{}", out(&again));
    let none = p.run(&["run", &format!("git+file://{}#ci", repo.display())]);
    assert_eq!(none.status.code(), Some(2), "{}", out(&none));
    assert_contains(&none, "it has no flake.nix");
    let s = Server::start();
    let gone = p.run(&["run", &format!("{}/none.tar.gz#ci", s.url)]);
    assert_eq!(gone.status.code(), Some(3), "{}", out(&gone));
    assert_contains(&gone, "the server answers 404");
}
