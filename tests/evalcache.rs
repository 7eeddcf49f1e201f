//! The cache of evaluations: a result is used again only when nothing that it depends on has changed,
//! and nobody can tell, but by the time it takes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Project {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

/// A workflow whose one script is made by an expression.
fn workflow(script: &str) -> String {
    format!(
        "{{ nixactions, word ? \"none\", ... }}:\nnixactions.mkWorkflow {{\n  name = \"x\";\n  \
         jobs.t.steps = [ {{ bash = \"echo \" + ({script}); }} ];\n}}\n"
    )
}

impl Project {
    fn new(script: &str) -> Project {
        let dir = tempfile::tempdir().expect("a directory");
        let project = Project { dir, variables: Vec::new() };
        fs::create_dir(project.path(".git")).expect("a directory");
        project.write("ci.nix", &workflow(script));
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        fs::write(file, text).expect("a file");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(env!("CARGO_BIN_EXE_nixactions"));
        c.current_dir(self.dir.path()).args(args).env("XDG_CACHE_HOME", self.path("cache"));
        c.env_remove("NIX_PATH").env_remove("NIX_CONFIG").env_remove("NIXACTIONS_EVAL_CACHE");
        c.env("LC_ALL", "C.UTF-8").envs(self.variables.iter().copied());
        c
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program runs")
    }

    fn plan(&self, more: &[&str]) -> String {
        let o = self.run(&[&["plan", "--format", "json"], more].concat());
        assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
        String::from_utf8(o.stdout).expect("JSON")
    }

    fn entries(&self) -> Vec<PathBuf> {
        let Ok(dir) = fs::read_dir(self.path("cache/nixactions/eval")) else { return Vec::new() };
        dir.map(|e| e.expect("an entry").path()).collect()
    }

    /// The salts of the entries. Each evaluation that is kept draws a new one.
    fn salts(&self) -> BTreeSet<Vec<u8>> {
        self.entries().iter().map(|e| fs::read(e).expect("an entry")[40..56].to_vec()).collect()
    }
}

fn bytes_of(o: &Output) -> (Option<i32>, String, String) {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (o.status.code(), text(&o.stdout), text(&o.stderr))
}

#[test]
fn cold_and_warm_say_the_same() {
    let p = Project::new("builtins.trace \"while looking\" (import ./part.nix)");
    p.write("part.nix", "let unused = 1; in \"a\"");
    let wrong = "{ nixactions, ... }:\nnixactions.mkWorkflow {\n  nmae = \"x\";\n  jobs.t = { needs = [ \"no\" ]; \
                 stesp = [ ]; steps = [ { bash = import ./absent.nix; } ]; };\n}\n";
    p.write("wrong.nix", wrong);
    p.write(
        "throws.nix",
        "{ nixactions, ... }:\nnixactions.mkWorkflow { name = throw \"no\"; jobs = { }; }\n",
    );
    for args in [
        &["check", "ci.nix"][..],
        &["check", "--format", "json", "ci.nix", "wrong.nix", "throws.nix"],
        &["check", "wrong.nix"],
        &["plan"],
        &["plan", "wrong.nix"],
        &["list", "--json"],
        &["list", "throws.nix"],
    ] {
        let cold = p.run(args);
        let salts = p.salts();
        assert!(!salts.is_empty(), "{args:?}: kept");
        let warm = p.run(args);
        assert_eq!(bytes_of(&cold), bytes_of(&warm), "{args:?}");
        assert_eq!(salts, p.salts(), "{args:?}: evaluated again");
        let never = p.run(&[args, &["--no-eval-cache"]].concat());
        assert_eq!(bytes_of(&cold), bytes_of(&never), "{args:?}");
    }
    assert!(bytes_of(&p.run(&["plan"])).2.contains("while looking"), "lines of `trace` are shown again");
}

/// What is looked at, what changes, what the script is before and after.
type Case = (&'static str, fn(&mut Project), fn(&mut Project), [&'static str; 2]);

#[test]
fn whatever_was_looked_at_counts() {
    let cases: [Case; 9] = [
        (
            "import ./part.nix",
            |p| p.write("part.nix", "\"one\""),
            |p| {
                // The same size, and the same time of the last change.
                let was = fs::metadata(p.path("part.nix")).expect("a file").modified().expect("a time");
                p.write("part.nix", "\"two\"");
                let file = fs::OpenOptions::new().append(true).open(p.path("part.nix")).expect("a file");
                file.set_modified(was).expect("a time");
            },
            ["echo one", "echo two"],
        ),
        (
            "if builtins.pathExists ./flag then \"there\" else \"absent\"",
            |_| (),
            |p| p.write("flag", ""),
            ["echo absent", "echo there"],
        ),
        (
            "toString (builtins.attrNames (builtins.readDir ./dir))",
            |p| p.write("dir/a", ""),
            |p| p.write("dir/b", ""),
            ["echo a\"", "echo a b\""],
        ),
        (
            "builtins.readFile ./link",
            |p| {
                p.write("one", "1");
                p.write("two", "2");
                symlink("one", p.path("link")).expect("a link");
            },
            |p| {
                fs::remove_file(p.path("link")).expect("removed");
                symlink("two", p.path("link")).expect("a link");
            },
            ["echo 1", "echo 2"],
        ),
        (
            "builtins.readFileType ./thing",
            |p| p.write("thing", ""),
            |p| {
                fs::remove_file(p.path("thing")).expect("removed");
                fs::create_dir(p.path("thing")).expect("a directory");
            },
            ["echo regular", "echo directory"],
        ),
        (
            "builtins.unsafeDiscardStringContext \"${./tool}\"",
            |p| p.write("tool", "#!/bin/sh\n"),
            |p| fs::set_permissions(p.path("tool"), fs::Permissions::from_mode(0o755)).expect("a mode"),
            ["-tool", "-tool"],
        ),
        (
            "builtins.getEnv \"STAGE\"",
            |p| p.variables = vec![("STAGE", "test")],
            |p| p.variables = vec![("STAGE", "prod")],
            ["echo test", "echo prod"],
        ),
        (
            "if builtins.getEnv \"STAGE\" == \"\" then \"unset\" else \"set\"",
            |_| (),
            |p| p.variables = vec![("STAGE", "prod")],
            ["echo unset", "echo set"],
        ),
        (
            "import <part>",
            |p| {
                p.write("a/part.nix", "\"from a\"");
                p.write("b/part.nix", "\"from b\"");
                p.variables = vec![("NIX_PATH", "part=a/part.nix")];
            },
            |p| p.variables = vec![("NIX_PATH", "part=b/part.nix")],
            ["echo from a", "echo from b"],
        ),
    ];
    for (script, before, change, [first, second]) in cases {
        let mut p = Project::new(script);
        before(&mut p);
        let cold = p.plan(&[]);
        assert!(cold.contains(first), "{script}: {cold}");
        let salts = p.salts();
        assert_eq!(salts.len(), 1, "{script}: kept");
        assert_eq!(p.plan(&[]), cold, "{script}");
        assert_eq!(p.salts(), salts, "{script}: used");
        change(&mut p);
        let after = p.plan(&[]);
        assert!(after.contains(second), "{script}: {after}");
        assert_ne!(after, cold, "{script}");
        assert!(!p.salts().is_subset(&salts), "{script}: evaluated again");
    }
}

#[test]
fn arguments_count() {
    let p = Project::new("word");
    p.write("a/part.nix", "\"from a\"");
    p.write("b/part.nix", "\"from b\"");
    for (args, script) in [
        (&[][..], "echo none"),
        (&["--argstr", "word", "one"], "echo one"),
        (&["--argstr", "word", "two"], "echo two"),
        (&["--arg", "word", "\"th\" + \"ree\""], "echo three"),
        (&["-I", "part=a/part.nix", "--arg", "word", "import <part>"], "echo from a"),
        (&["-I", "part=b/part.nix", "--arg", "word", "import <part>"], "echo from b"),
    ] {
        for _ in 0..2 {
            let plan = p.plan(args);
            assert!(plan.contains(script), "{args:?}: {plan}");
        }
    }
    assert_eq!(p.salts().len(), 6);
}

#[test]
fn the_same_text_in_a_new_file_is_found_by_its_hash() {
    let p = Project::new("import ./part.nix");
    p.write("part.nix", "\"a\"");
    p.plan(&[]);
    let salts = p.salts();
    fs::rename(p.path("part.nix"), p.path("old.nix")).expect("renamed");
    p.write("part.nix", "\"a\"");
    p.plan(&[]);
    assert_eq!(p.salts(), salts);
}

#[test]
fn what_depends_on_the_clock_is_not_kept() {
    let p = Project::new("toString builtins.currentTime");
    p.plan(&[]);
    assert_eq!(p.entries(), [] as [PathBuf; 0]);
}

#[test]
fn a_spoilt_entry_is_a_miss() {
    let p = Project::new("import ./part.nix");
    p.write("part.nix", "\"a\"");
    let cold = p.plan(&[]);
    let entry = p.entries().pop().expect("an entry");
    let whole = fs::read(&entry).expect("bytes");
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("a byte") ^= 1;
    for spoilt in [&b""[..], b"NXAEVAL1", &whole[..whole.len() / 2], &flipped, &[0; 4096]] {
        fs::write(&entry, spoilt).expect("written");
        assert_eq!(p.plan(&[]), cold);
        assert_ne!(fs::read(&entry).expect("bytes"), spoilt, "written anew");
    }
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let p = Project::new("import ./part.nix");
    p.write("part.nix", "\"a\"");
    let start = || {
        let mut c = p.command(&["plan", "--format", "json"]);
        c.stdout(std::process::Stdio::piped()).spawn().expect("it starts")
    };
    for _ in 0..3 {
        let running: Vec<_> = (0..6).map(|_| start()).collect();
        let outputs: BTreeSet<Vec<u8>> =
            running.into_iter().map(|c| c.wait_with_output().expect("it ends").stdout).collect();
        assert_eq!(outputs.len(), 1);
        assert_eq!(p.entries().len(), 1, "no file is left in the making");
        fs::remove_file(&p.entries()[0]).expect("removed");
    }
}

#[test]
fn without_a_place_to_write_all_works() {
    let p = Project::new("\"a\"");
    p.write("cache/nixactions/eval", "this is a file");
    assert_eq!(p.plan(&[]), p.plan(&[]));
    assert!(Path::new(&p.path("cache/nixactions/eval")).is_file());
}

#[test]
fn it_can_be_switched_off() {
    let mut p = Project::new("\"a\"");
    p.plan(&["--no-eval-cache"]);
    p.plan(&["--option", "eval-cache", "false"]);
    p.variables = vec![("NIXACTIONS_EVAL_CACHE", "0")];
    p.plan(&[]);
    assert_eq!(p.entries(), [] as [PathBuf; 0]);
    p.variables.clear();
    p.plan(&[]);
    assert_eq!(p.entries().len(), 1);
    let o = p.run(&["clean", "--caches"]);
    assert!(String::from_utf8_lossy(&o.stdout).contains("removed 1 of 1"), "{:?}", bytes_of(&o));
    assert_eq!(p.entries(), [] as [PathBuf; 0]);
}

#[test]
fn values_from_outside_cannot_be_read_in_it() {
    let mut p = Project::new("builtins.getEnv \"TOKEN\" + word");
    p.variables = vec![("TOKEN", "s3cret-from-the-environment")];
    p.plan(&["--argstr", "word", "s3cret-from-an-argument"]);
    let entry = p.entries().pop().expect("an entry");
    let bytes = fs::read(&entry).expect("bytes");
    for word in ["from-the-environment", "from-an-argument"] {
        assert!(!bytes.windows(word.len()).any(|w| w == word.as_bytes()), "{word}");
    }
    assert_eq!(fs::metadata(&entry).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_text_on_standard_input_is_not_taken_for_the_file() {
    let p = Project::new("\"a\"");
    assert!(p.run(&["check", "ci.nix"]).status.success());
    let mut c = p.command(&["check", "--stdin-filename", "ci.nix", "-"]);
    p.write("other", "{ nixactions, ... }: nixactions.mkWorkflow { nmae = 1; }");
    let o = c.stdin(fs::File::open(p.path("other")).expect("a file")).output().expect("it runs");
    assert_eq!(o.status.code(), Some(2));
    assert!(p.run(&["check", "ci.nix"]).status.success());
}
