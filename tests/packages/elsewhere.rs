//! Packages of jobs that run elsewhere: on hosts with a store of their own, and in containers.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::engines;
use crate::run::{Project, assert_contains, out};
use crate::services::program;
use crate::sshd::Sshd;

/// Two packages, of which one refers to the other.
const TOOLS: &str =
    r#"dep = pkg "dep" "echo it depends"; tool = pkg "tool" "echo from the store; ${dep}/bin/dep";"#;

/// `executors.ssh` for a host, in Nix.
fn ssh(host: &Sshd) -> String {
    format!(
        "nixactions.executors.ssh {{ host = \"127.0.0.1\"; port = {}; identityFile = {}; knownHosts = {}; \
         workspaceDir = {}; copyRepo = false; options = {{ IdentityAgent = \"none\"; GlobalKnownHostsFile = \"/dev/null\"; }}; }}",
        host.port,
        host.dir.path().join("client").display(),
        host.known_hosts().display(),
        host.workspaces().display()
    )
}

/// A host whose store is in the place of this machine's, and empty.
fn host(p: &Project, lines: &[&str]) -> (Sshd, tempfile::TempDir) {
    let own = tempfile::tempdir().expect("a directory");
    for below in ["store", "var", "log", "conf"] {
        std::fs::create_dir(own.path().join(below)).expect("a directory");
    }
    std::fs::write(own.path().join("conf/nix.conf"), "build-users-group =\nsubstituters =\n")
        .expect("written");
    let dir = own.path().display();
    let variables = format!(
        "SetEnv NIX_STORE_DIR={} NIX_STATE_DIR={dir}/var NIX_LOG_DIR={dir}/log NIX_CONF_DIR={dir}/conf",
        p.daemon.store_dir()
    );
    let lines: Vec<&str> = lines.iter().copied().chain([variables.as_str()]).collect();
    (Sshd::start_apart(&lines, Path::new(&p.daemon.store_dir()), &own.path().join("store")), own)
}

#[test]
fn a_hosts_store_gets_what_it_lacks_of_a_closure() {
    let p = Project::new();
    let (host, own) = host(&p, &[]);
    let job = |tool: &str| {
        format!(
            "a = {{ executor = {}; steps = [ {{ deps = [ {tool} ]; bash = \"tool\"; }} ]; }};",
            ssh(&host)
        )
    };
    p.workflow(TOOLS, &job("tool"));
    let cold = p.run(&["run", "--format", "simple"]);
    assert!(cold.status.success(), "{}\n{}", out(&cold), host.log());
    assert_contains(&cold, "copied 2 of 2 store paths");
    assert_contains(&cold, "a/step-1: it depends");
    let there = std::fs::read_dir(own.path().join("store")).expect("a store").count();
    assert!(there >= 2, "{there}");
    let warm = p.run(&["run", "--format", "simple"]);
    assert_contains(&warm, "has all 2 store paths");
    p.workflow(TOOLS, &job("(pkg \"tool\" \"echo another; ${dep}/bin/dep\")"));
    let changed = p.run(&["run", "--format", "simple"]);
    assert!(changed.status.success(), "{}", out(&changed));
    assert_contains(&changed, "copied 1 of 2 store paths");
    assert_contains(&changed, "a/step-1: another");
    let roots = std::fs::read_dir(own.path().join("var/gcroots/auto")).expect("roots");
    let held = roots.flatten().filter(|root| root.path().canonicalize().is_ok()).count();
    assert_eq!(held, 0, "a run that has ended holds nothing");
}

#[test]
fn a_host_without_nix_is_told_from_one_that_fails() {
    let p = Project::new();
    let bin = tempfile::tempdir().expect("a directory");
    for dir in ["/usr/bin", "/bin"] {
        for program in std::fs::read_dir(dir).expect("programs").flatten() {
            if !program.file_name().to_string_lossy().starts_with("nix") {
                let _twice = symlink(program.path(), bin.path().join(program.file_name()));
            }
        }
    }
    let path = format!("SetEnv PATH={}", bin.path().display());
    let (host, _own) = host(&p, &[&path]);
    let job = |steps: &str| format!("a = {{ executor = {}; steps = [ {steps} ]; }};", ssh(&host));
    p.workflow(TOOLS, &job("{ deps = [ tool ]; bash = \"tool\"; }"));
    let lacking = p.run(&["run", "--format", "simple"]);
    assert_eq!(lacking.status.code(), Some(3), "{}", out(&lacking));
    assert_contains(&lacking, "has no nix");
    p.workflow(TOOLS, &job("{ bash = \"echo no packages\"; }"));
    let without = p.run(&["run", "--format", "simple"]);
    assert!(without.status.success(), "{}", out(&without));
}

/// A package with a shell and the usual tools, of this machine's programs.
fn system() -> String {
    let (busybox, bash) = (program("busybox", "busybox-static"), program("bash", "bash"));
    format!(
        r##"system = build "system" ''
          mkdir -p $out/bin $out/lib; cp {} $out/bin/busybox
          for n in $($out/bin/busybox --list); do case $n in busybox|bash) ;; *) ln -s busybox $out/bin/$n;; esac; done
          cp {} $out/lib/bash; for l in $(ldd {} | grep -o '/[^ )]*'); do cp -L $l $out/lib/; done
          printf '%s\n' "#!$out/bin/sh" "exec $out/lib/ld-linux-x86-64.so.2 --library-path $out/lib $out/lib/bash \"\$@\"" > $out/bin/bash
          chmod +x $out/bin/bash
        '';"##,
        busybox.display(),
        bash.display(),
        bash.display()
    )
}

#[test]
fn an_image_is_made_of_the_packages_and_used_again() {
    let p = Project::new();
    let engine = engines::shared();
    let executor = format!(
        "nixactions.executors.oci {{ socket = {}; network = \"none\"; copyRepo = false; extraPackages = [ system ]; }}",
        engine.socket().display()
    );
    let job =
        |name: &str, steps: &str| format!("{name} = {{ executor = {executor}; steps = [ {steps} ]; }};");
    let use_it = "{ deps = [ tool ]; bash = ''tool; ls ${builtins.dirOf (toString tool)} | wc -l; echo x > out.txt''; }";
    let jobs = job("a", use_it) + &job("b", "{ bash = \"command -v tool || echo no tool\"; }");
    p.workflow(&format!("{TOOLS}\n{}", system()), &jobs);
    let cold = p.run(&["run", "--format", "simple"]);
    assert!(cold.status.success(), "{}", out(&cold));
    for text in [
        "made of 3 store paths",
        "a/step-1: it depends",
        "a/step-1: 3",
        "made of 1 store paths",
        "b/step-1: no tool",
    ] {
        assert_contains(&cold, text);
    }
    let warm = p.run(&["run", "--format", "simple"]);
    assert_contains(&warm, "of 3 store paths, made before");
    let images = engine.ask(&[
        "images",
        "--filter",
        "label=nixactions.closure",
        "--format",
        "{{.Repository}}:{{.Tag}}",
    ]);
    assert_eq!(images.lines().count(), 2, "{images}");
    let layers =
        |image: &str| engine.ask(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", image]);
    let all: Vec<Vec<String>> =
        images.lines().map(|image| serde_json::from_str(&layers(image)).expect("layers")).collect();
    assert!(all[0].iter().any(|layer| all[1].contains(layer)), "images share layers: {all:?}");
    assert!(engine.containers().is_empty());
}

#[test]
fn an_image_without_a_shell_is_refused_with_what_it_lacks() {
    let p = Project::new();
    let socket = engines::shared().socket();
    let executor = format!("nixactions.executors.oci {{ socket = {}; copyRepo = false; }}", socket.display());
    let jobs = format!(
        "a = {{ executor = {executor}; steps = [ {{ deps = [ tool ]; bash = \"tool\"; }} ]; }};
         b = {{ executor = {executor}; steps = [ {{ bash = \"true\"; }} ]; }};"
    );
    p.workflow(TOOLS, &jobs);
    let ended = p.run(&["run", "--format", "simple"]);
    assert_eq!(ended.status.code(), Some(3), "{}", out(&ended));
    assert_contains(&ended, "would have no bash, cat, mkdir, tar");
    assert_contains(&ended, "names no `image`, and the job has no packages");
}

#[test]
fn a_container_of_one_job_has_its_closure_and_no_more() {
    let p = Project::new();
    let executor = |mode: &str| {
        format!(
            "nixactions.executors.oci {{ image = \"{}\"; socket = {}; network = \"none\"; pull = \"never\"; copyRepo = false; mode = \"{mode}\"; name = \"{mode}\"; }}",
            engines::IMAGE,
            engines::shared().socket().display()
        )
    };
    let step = "{ deps = [ tool ]; bash = \"tool; echo ${builtins.dirOf (toString tool)}/*-other*\"; }";
    let jobs = format!(
        "o.steps = [ {{ deps = [ (pkg \"other\" \"\") ]; bash = \"true\"; }} ];
         a = {{ needs = [ \"o\" ]; executor = {}; steps = [ {step} ]; }};
         b = {{ needs = [ \"o\" ]; executor = {}; steps = [ {step} ]; }};",
        executor("isolated"),
        executor("shared")
    );
    p.workflow(TOOLS, &jobs);
    let ended = p.run(&["run", "--format", "simple"]);
    assert!(ended.status.success(), "{}", out(&ended));
    assert_contains(&ended, "2 store paths of this machine are mounted");
    let all = out(&ended);
    let line = |job: &str| {
        all.lines().find(|l| l.contains(&format!("{job}/step-1: /"))).unwrap_or_default().to_owned()
    };
    assert!(line("a").ends_with("/*-other*"), "{all}");
    assert!(line("b").contains("-other") && !line("b").contains('*'), "{all}");
}
