//! Sources of GitHub and its like, channels and the registry of flakes: asked of a server of ours that plays those
//! hosts, with TLS, behind a proxy.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::inputs::{tar, write};
use crate::run::{Project, assert_contains, out};
use crate::server::{Server, certificate};

const REV: &str = "0123456789abcdef0123456789abcdef01234567";

/// A project whose network is the server.
struct Net {
    p: Project,
    s: Server,
}

impl Net {
    fn new() -> Net {
        let p = Project::new();
        let hosts = [
            "github.com",
            "api.github.com",
            "codeload.github.com",
            "gitlab.com",
            "git.sr.ht",
            "channels.nixos.org",
            "forge.test",
        ];
        let s = Server::playing(&hosts, p.dir.path());
        Net { p, s }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.p.command(args);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.env("https_proxy", &self.s.url).env("NIX_SSL_CERT_FILE", certificate(self.p.dir.path()));
        command.env("NETRC", "/nowhere").env("HOME", self.p.dir.path()).env_remove("GITHUB_TOKEN");
        command.env("NIX_CONFIG", "download-attempts = 1");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    /// An evaluation with a cache of this name.
    fn eval(&self, cache: &str, expr: &str) -> Command {
        let args =
            ["eval", "--extra-experimental-features", "flakes fetch-tree", "--strict", "--json", "-E", expr];
        let mut command = self.command(&args);
        command.env("XDG_CACHE_HOME", self.p.dir.path().join(cache));
        command
    }

    fn value(&self, cache: &str, expr: &str) -> serde_json::Value {
        let output = self.eval(cache, expr).output().expect("it runs");
        assert!(output.status.success(), "{expr}:\n{}", out(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Gives the archive of a commit the way GitHub does. The hash of its content, as the machine's Nix computes
    /// it.
    fn on_github(&self, owner: &str, repo: &str, files: &[(&str, &str)]) -> String {
        let dir = self.p.dir.path().join(format!("{owner}-{repo}")).join(format!("{repo}-{REV}"));
        for (name, text) in files {
            write(&dir.join(name), text);
        }
        let codeload = format!("https://codeload.github.com/{owner}/{repo}/tar.gz/{REV}");
        let moved = format!("Location: {codeload}\r\n");
        self.s.give(&format!("https://github.com/{owner}/{repo}/archive/{REV}.tar.gz"), 302, &moved, "");
        self.s.give(&format!("https://api.github.com/repos/{owner}/{repo}/tarball/{REV}"), 302, &moved, "");
        self.s.give(&codeload, 200, "", tar(&dir, &format!("{repo}.tar.gz")));
        self.hash(&dir)
    }

    fn hash(&self, dir: &PathBuf) -> String {
        let hash = self.p.daemon.command("nix").args(["hash", "path"]).arg(dir).output().expect("nix");
        assert!(hash.status.success(), "{}", out(&hash));
        String::from_utf8_lossy(&hash.stdout).trim().to_owned()
    }
}

#[test]
fn flakes_of_github_are_fetched_verified_and_kept() {
    let net = Net::new();
    let hash = net.on_github("o", "r", &[("flake.nix", "{ outputs = { self }: { x = \"from GitHub\"; }; }")]);
    let head = "https://api.github.com/repos/o/r/commits/main";
    net.s.give(head, 200, "", format!("{{ \"sha\": \"{REV}\" }}"));
    let expr = "with builtins.getFlake \"github:o/r/main\"; [ x rev narHash ]";
    assert_eq!(net.value("a", expr), serde_json::json!(["from GitHub", REV, hash]));
    let asked = net.s.asked();
    assert_eq!(asked, 3, "the commit of the branch, its archive, and where that has moved to");
    let offline = net.eval("a", expr).arg("--offline").output().expect("it runs");
    assert_contains(&offline, "from GitHub");
    assert_eq!(net.s.asked(), asked);

    // A locked one is asked for by its commit only, and its hash is verified.
    let locked = |hash: &str| {
        format!(
            "import (fetchTree {{ type = \"github\"; owner = \"o\"; repo = \"r\"; rev = \"{REV}\"; narHash = \"{hash}\"; }} + \"/flake.nix\") ? outputs"
        )
        .replace("fetchTree", "builtins.fetchTree")
    };
    assert_eq!(net.value("b", &locked(&hash)), serde_json::json!(true));
    assert_eq!(net.s.heads(head).len(), 1);
    let wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let output = net.eval("c", &locked(wrong)).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_contains(&output, &format!("specified: {wrong}"));
    assert_contains(&output, &format!("got:       {hash}"));
}

#[test]
fn forges_are_given_tokens_and_nobody_else_is() {
    let net = Net::new();
    net.on_github("o", "private", &[("f", "content")]);
    let expr = format!(
        "builtins.readFile (builtins.fetchTree {{ type = \"github\"; owner = \"o\"; repo = \"private\"; rev = \"{REV}\"; }} + \"/f\")"
    );
    let mut with = net.eval("a", &expr);
    let output = with.env("NIX_CONFIG", "access-tokens = github.com=tok").output().expect("it runs");
    assert_contains(&output, "content");
    let asked = net.s.heads(&format!("https://api.github.com/repos/o/private/tarball/{REV}"));
    assert!(asked.len() == 1 && asked[0].contains("authorization: bearer tok"), "{asked:?}");
    let moved = net.s.heads(&format!("https://codeload.github.com/o/private/tar.gz/{REV}"));
    assert!(moved.len() == 1 && !moved[0].contains("authorization"), "{moved:?}");
    // What a forge refuses to unknown ones is refused with a way out.
    net.s.give("https://api.github.com/repos/o/limited/commits/HEAD", 403, "", "");
    let output = net.eval("a", "builtins.getFlake \"github:o/limited\"").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_contains(
        &output,
        "the server answers 403; give credentials in ~/.netrc, or a token in `access-tokens`",
    );
    net.s.give("https://api.github.com/repos/o/none/commits/HEAD", 404, "", "");
    let output = net.eval("a", "builtins.getFlake \"github:o/none\"").output().expect("it runs");
    assert_contains(&output, "api.github.com/repos/o/none/commits/HEAD: the server answers 404");
}

#[test]
fn other_forges_are_asked_in_their_way() {
    let net = Net::new();
    let dir = net.p.dir.path().join("tree").join("r");
    write(&dir.join("f"), "content");
    let archive = tar(&dir, "r.tar.gz");
    for url in [
        format!("https://gitlab.com/api/v4/projects/group%2Fr/repository/archive.tar.gz?sha={REV}"),
        format!("https://git.sr.ht/~o/r/archive/{REV}.tar.gz"),
        format!("https://forge.test/api/v3/repos/o/r/tarball/{REV}"),
    ] {
        net.s.give(&url, 200, "", archive.clone());
    }
    let branch = "https://gitlab.com/api/v4/projects/group%2Fr/repository/commits?ref_name=main&per_page=1";
    net.s.give(branch, 200, "", format!("[ {{ \"id\": \"{REV}\" }} ]"));
    net.s.give(
        "https://forge.test/api/v3/repos/o/r/commits/main",
        200,
        "",
        format!("{{ \"sha\": \"{REV}\" }}"),
    );
    for source in [
        "type = \"gitlab\"; owner = \"group\"; repo = \"r\"; ref = \"main\";".to_owned(),
        format!("type = \"sourcehut\"; owner = \"~o\"; repo = \"r\"; rev = \"{REV}\";"),
        "type = \"github\"; owner = \"o\"; repo = \"r\"; ref = \"main\"; host = \"forge.test\";".to_owned(),
    ] {
        let expr =
            format!("with builtins.fetchTree {{ {source} }}; [ (builtins.readFile (outPath + \"/f\")) rev ]");
        assert_eq!(net.value("a", &expr), serde_json::json!(["content", REV]), "{source}");
    }
}

/// A package set as archives of nixpkgs have it: one directory with a `default.nix`.
fn package_set(net: &Net) -> Vec<u8> {
    let set = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/set/default.nix"));
    let dir = net.p.dir.path().join("channel").join("nixpkgs-1");
    write(&dir.join("default.nix"), &set.expect("the set"));
    tar(&dir, "nixexprs.tar.xz")
}

const USES_PKGS: &str = "{ nixactions, pkgs, ... }: nixactions.mkWorkflow { name = \"t\"; jobs.a.steps = [ { deps = [ pkgs.greet ]; bash = \"greet you\"; } ]; }";

#[test]
fn packages_come_from_a_lock_file() {
    let net = Net::new();
    let set = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/set/default.nix"));
    let hash = net.on_github("NixOS", "nixpkgs", &[("default.nix", &set.expect("the set"))]);
    let lock = |hash: &str| {
        let locked = format!(
            r#"{{ "type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": "{REV}", "narHash": "{hash}", "lastModified": 1 }}"#
        );
        let original = r#"{ "type": "github", "owner": "NixOS", "repo": "nixpkgs" }"#;
        let nodes = format!(
            r#"{{ "root": {{ "inputs": {{ "nixpkgs": "nixpkgs" }} }}, "nixpkgs": {{ "locked": {locked}, "original": {original} }} }}"#
        );
        write(
            &net.p.path().join("flake.lock"),
            &format!(r#"{{ "version": 7, "root": "root", "nodes": {nodes} }}"#),
        );
    };
    write(&net.p.path().join("ci.nix"), USES_PKGS);
    let wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    lock(wrong);
    let output = net.run(&["run", "--format", "simple"]);
    assert!(!output.status.success() && !out(&output).contains("hello"), "{}", out(&output));
    assert_contains(&output, "hash mismatch in the input");
    assert_contains(&output, &format!("got:       {hash}"));
    lock(&hash);
    let output = net.run(&["run", "--format", "simple"]);
    assert!(output.status.success(), "{}", out(&output));
    assert_contains(&output, "a/step-1: hello, you");
    let asked = net.s.asked();
    let offline = net.run(&["run", "--offline", "--format", "simple"]);
    assert!(offline.status.success(), "{}", out(&offline));
    assert_eq!(net.s.asked(), asked);
    let empty = net.p.dir.path().join("empty");
    let mut offline = net.command(&["run", "--offline"]);
    let offline = offline.env("XDG_CACHE_HOME", empty).output().expect("it runs");
    assert!(!offline.status.success(), "{}", out(&offline));
    let said = out(&offline).replace("\n  │ ", " ");
    assert!(said.contains("cache, and nothing may be fetched (`--offline`)"), "{said}");
}

#[test]
fn channels_and_the_registry_are_fetched_and_kept() {
    let net = Net::new();
    let archive = package_set(&net);
    net.s.give("https://channels.nixos.org/nixos-99.99/nixexprs.tar.xz", 200, "ETag: \"1\"\r\n", archive);
    write(&net.p.path().join("ci.nix"), USES_PKGS);
    let run = net.run(&["run", "-I", "nixpkgs=channel:nixos-99.99", "--format", "simple"]);
    assert!(run.status.success(), "{}", out(&run));
    assert_contains(&run, "a/step-1: hello, you");
    let asked = net.s.asked();
    let mut offline = net.command(&["run", "--offline", "--format", "simple"]);
    let offline = offline.env("NIX_PATH", "nixpkgs=channel:nixos-99.99").output().expect("it runs");
    assert!(offline.status.success(), "{}", out(&offline));
    let name = "(import (fetchTarball \"channel:nixos-99.99\") { }).greet.name";
    let mut fetched = net.command(&["eval", "-E", name]);
    assert_contains(&fetched.output().expect("it runs"), "greet");
    assert_eq!(net.s.asked(), asked, "what was fetched within the hour is not asked for again");
    let gone = net.run(&["run", "-I", "nixpkgs=channel:none"]);
    assert!(!gone.status.success(), "{}", out(&gone));
    assert_contains(&gone, "channels.nixos.org/none/nixexprs.tar.xz: the server answers 404");

    let registry = r#"{ "version": 2, "flakes": [ { "from": { "type": "indirect", "id": "nixpkgs" },
        "to": { "type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "unstable" } } ] }"#;
    net.s.give("https://channels.nixos.org/flake-registry.json", 200, "", registry);
    net.s.give(
        "https://api.github.com/repos/NixOS/nixpkgs/commits/unstable",
        200,
        "",
        format!("{{ \"sha\": \"{REV}\" }}"),
    );
    let set = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/set/default.nix"));
    net.on_github("NixOS", "nixpkgs", &[("default.nix", &set.expect("the set"))]);
    let flake = ["run", "-I", "nixpkgs=flake:nixpkgs", "--extra-experimental-features", "flakes"];
    let run = net.run(&[&flake[..], &["--format", "simple"]].concat());
    assert!(run.status.success(), "{}", out(&run));
    let asked = net.s.asked();
    let run = net.run(&[&flake[..], &["--offline"]].concat());
    assert!(run.status.success(), "{}", out(&run));
    assert_eq!(net.s.asked(), asked);
}

#[test]
fn a_server_with_an_unknown_certificate_is_not_trusted() {
    let net = Net::new();
    let mut command = net.eval("a", "builtins.fetchurl \"https://forge.test/f\"");
    let output =
        command.env_remove("NIX_SSL_CERT_FILE").env_remove("SSL_CERT_FILE").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_contains(&output, "the server's certificate is not trusted");
    assert_contains(&output, "NIX_SSL_CERT_FILE names the certificates to trust");
}
