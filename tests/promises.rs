//! Promises that only the whole program can break: no sink shows a secret, equal runs look equal, and
//! runs on one checkout do not disturb each other. `docs/reliability.md` lists all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Characters that every encoding changes, and enough of them that no output holds them by chance.
const SECRET: &str = "kelp/\"zw&ö'7 9\nsecond-line-5521";

struct Project(TempDir);

impl Project {
    fn new(jobs: &str) -> Project {
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!(
            "{{ nixactions, ... }}:\nnixactions.mkWorkflow {{ name = \"w\"; jobs = {{ {jobs} }}; }}\n"
        );
        fs::write(dir.path().join("ci.nix"), text).expect("written");
        Project(dir)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).env("XDG_CACHE_HOME", self.0.path().join(".cache"));
        for name in ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "NIXACTIONS_LOG_FORMAT", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Texts by which a part of the secret would be known, in the forms that programs print it in.
const TELLING: [&str; 10] = [
    "kelp/",        // as it is
    "second-line-", // its second line
    "kelp%2",       // in a URI
    r#"zw&ö"#,      // within JSON or a shell's quotes
    "&quot;zw&amp;",
    "a2VscC8i", // Base64, by its three offsets
    "tlbHAvI",
    "rZWxwLy",
    "6b656c702f", // hexadecimal
    "kelp\\/",
];

#[test]
fn no_sink_shows_a_secret_in_any_form() {
    let project = Project::new(
        r#"say = { env.S = nixactions.secret (builtins.readFile ./value); steps = [
             { id = "told"; bash = ''
                 printf '%s\n' "$S"; printf '%s' "$S" | base64; printf 'x%s' "$S" | base64 -w0; echo; printf 'xy%s' "$S" | base64 -w0; echo
                 for ((i = 0; i < ''${#S}; i++)); do printf '%s' "''${S:i:1}"; sleep 0.002; done; echo
                 printf '%s' "$S" >&2; echo >&2
                 python3 -c 'import json,os,urllib.parse,html; s=os.environ["S"]; print(json.dumps(s), urllib.parse.quote(s, safe=""), html.escape(s), repr(s))'
                 echo "::error::failed with $S"; echo "- $S" >> "$NIXACTIONS_STEP_SUMMARY"
                 echo "told=$S" >> "$NIXACTIONS_OUTPUT" || true
                 exit 3
               ''; } ]; };
           after = { needs = [ "say" ]; condition = "always()"; steps = [ { bash = "env | sort | head -3"; } ]; };"#,
    );
    fs::write(project.path("value"), SECRET).expect("written");
    for format in ["json", "structured", "simple", "grouped", "live"] {
        let mut command = project.command(&["run", "ci.nix", "--format", format, "--junit", "out/j.xml"]);
        command.args(["--report", "out/r.html", "--badge", "out/b.svg"]);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", project.path("out/summary"));
        fs::create_dir_all(project.path("out")).expect("made");
        let output = command.output().expect("runs");
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = |bytes: &[u8], what: &str| {
            let text = String::from_utf8_lossy(bytes);
            for telling in TELLING {
                assert!(!text.contains(telling), "{format}: {what} shows {telling}:\n{text}");
            }
        };
        shown(&output.stdout, "the output");
        shown(&output.stderr, "the errors");
        let mut seen = 0;
        for file in files(&project.path("out")).into_iter().chain(files(&project.path(".cache"))) {
            shown(&fs::read(&file).expect("read"), &file.display().to_string());
            seen += 1;
        }
        assert!(seen >= 5, "only {seen} files were looked at");
    }
    let shown = project.command(&["show"]).output().expect("runs");
    let logs = project.command(&["logs"]).output().expect("runs");
    assert!(logs.status.success() && String::from_utf8_lossy(&logs.stdout).contains("***"));
    for text in [shown.stdout, logs.stdout] {
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(TELLING.iter().all(|telling| !text.contains(telling)), "{text}");
    }
}

#[test]
fn equal_runs_look_equal_but_for_times_and_the_identifier() {
    let project = Project::new(
        r#"a.steps = [ { bash = "echo one; echo two >&2; printf 'no newline'"; } { bash = "exit 0"; } ];
           b = { needs = [ "a" ]; steps = [ { bash = "for i in {1..200}; do echo $i; done"; } ]; };
           c = { needs = [ "b" ]; steps = [ { bash = "exit 9"; } ]; };"#,
    );
    let times = without_times();
    let run = || {
        let output = project.command(&["run", "ci.nix", "--format", "simple"]).output().expect("runs");
        assert_eq!(output.status.code(), Some(1));
        times(&String::from_utf8_lossy(&output.stdout))
    };
    let first = run();
    assert!(first.contains("no newline") && first.contains("200"), "{first}");
    for _ in 0..3 {
        assert_eq!(run(), first);
    }
}

/// Puts `T` in the place of each number that a unit of time or the clock's punctuation follows, and `ID`
/// in that of the run's identifier.
fn without_times() -> impl Fn(&str) -> String {
    |text| {
        let mut out = String::new();
        for line in text.lines() {
            for word in line.split_whitespace() {
                let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                let timed = bare.starts_with(|c: char| c.is_ascii_digit())
                    && ["ms", "s", "us", "µs", "min"].iter().any(|unit| bare.ends_with(unit));
                let identifier =
                    bare.len() > 20 && bare.as_bytes().iter().filter(|b| **b == b'-').count() == 2;
                let shown = match (timed, identifier) {
                    (true, _) => "T",
                    (_, true) => "ID",
                    _ => word,
                };
                out.push_str(shown);
                out.push(' ');
            }
            out.push('\n');
        }
        out
    }
}

#[test]
fn runs_on_one_checkout_do_not_disturb_each_other() {
    let project = Project::new(
        r#"make = { outputs.made = "made"; steps = [ { bash = ''
             [ ! -e made ]; for i in {1..40}; do echo "$TOKEN" >> made; sleep 0.005; done; echo $TOKEN > ci.nix
           ''; } ]; };
           take = { needs = [ "make" ]; inputs = [ { name = "made"; path = "got"; } ]; 
             steps = [ { bash = ''sort -u got/made; wc -l < got/made''; } ]; };"#,
    );
    let text = fs::read(project.path("ci.nix")).expect("read");
    let children: Vec<_> = (0..4)
        .map(|n| {
            let mut command = project.command(&["run", "ci.nix", "--format", "json"]);
            (n, command.env("TOKEN", format!("token-{n}")).spawn().expect("started"))
        })
        .collect();
    for (n, child) in children {
        let output = child.wait_with_output().expect("ends");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
        let lines: Vec<String> = out
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|event| event["event"] == "log" && event["job"] == "take")
            .filter_map(|event| Some(event["text"].as_str()?.to_owned()))
            .collect();
        assert_eq!(lines, [format!("token-{n}"), "40".to_owned()], "{out}");
    }
    assert_eq!(fs::read(project.path("ci.nix")).expect("read"), text, "a job has changed the checkout");
    let listed = project.command(&["runs", "--format", "json"]).output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&listed.stdout).matches("token-").count(), 0);
}
