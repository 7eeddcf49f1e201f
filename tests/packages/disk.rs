//! Full disks: of the store, and of the cache.

use std::fmt::Write as _;

use crate::daemon::{Daemon, on_disk_of};
use crate::run::{Project, assert_contains, out};

#[test]
fn a_full_store_fails_the_jobs_concerned() {
    let p = Project { daemon: Daemon::start_on_disk_of("4m"), ..Project::new() };
    let mut large = String::new();
    while large.len() < 6 << 20 {
        let _ = writeln!(large, "line {}", large.len());
    }
    std::fs::write(p.path().join("large"), &large).expect("written");
    let jobs = r#"
        a.steps = [ { bash = "cat ${big}"; } ];
        b.steps = [ { bash = "echo b runs"; } ];
    "#;
    // A source that the store has no room for.
    p.workflow("big = ./large;", jobs);
    let output = p.run(&["run", "--format", "simple"]);
    assert_eq!(output.status.code(), Some(3), "{}", out(&output));
    assert_contains(&output, "No space left on device");
    assert_contains(&output, "b/step-1: b runs");
    // An output that it has no room for.
    p.workflow(r#"big = build "big" "head -c 6000000 /dev/zero > $out";"#, jobs);
    let output = p.run(&["run", "--format", "simple"]);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{}", out(&output));
    assert_contains(&output, "No space left on device");
    assert_contains(&output, "b/step-1: b runs");
    // What was half written is gone, and something small has room.
    p.workflow(r#"big = build "small" "echo small > $out";"#, "");
    let output = p.run(&["build"]);
    assert!(output.status.success(), "{}", out(&output));
}

#[test]
fn a_full_cache_is_an_error_and_leaves_nothing_half_written() {
    let p = Project::new();
    let source = p.path().join("source");
    std::fs::create_dir(&source).expect("a directory");
    // Random, so that it takes the room that it seems to.
    let noise: Vec<u8> = (0..400_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(source.join("noise"), noise).expect("written");
    let tar = p.path().join("source.tar.gz");
    let mut packing = std::process::Command::new("tar");
    packing.arg("-czf").arg(&tar).arg("-C").arg(p.path()).arg("source");
    assert!(packing.status().expect("tar").success());
    let cache = p.dir.path().join("cache");
    std::fs::create_dir_all(&cache).expect("a directory");
    let expr = format!("builtins.readDir (fetchTarball \"file://{}\")", tar.display());
    let script = r#""$@"; echo "exit $?"; find "$XDG_CACHE_HOME" -type f -size +64k"#;
    let mut small = on_disk_of("256k", "XDG_CACHE_HOME");
    small.args(["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_nixactions"), "eval", "--strict", "-E", &expr]);
    small.env("XDG_CACHE_HOME", &cache).env("NIX_REMOTE", "dummy://").current_dir(p.path());
    let output = small.output().expect("it runs");
    assert_contains(&output, "No space left on device");
    let printed = String::from_utf8_lossy(&output.stdout);
    let left: Vec<&str> = printed.lines().collect();
    assert!(left.first().is_some_and(|l| l.starts_with("exit ") && *l != "exit 0"), "{}", out(&output));
    assert_eq!(left.len(), 1, "left behind: {left:?}");
}
