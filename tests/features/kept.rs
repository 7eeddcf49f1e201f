//! What is kept between runs: caches and the outputs of unchanged jobs.

use std::fs;

use crate::harness::Project;

fn cached(key: &str, more: &str) -> String {
    format!(
        r#"jobs.a = {{
             cache = [ {{ key = "{key}"; paths = [ "deps" "more" ]; {more} }} ];
             steps = [ {{ bash = "echo hit=$NIXACTIONS_CACHE_HIT; cat deps/x 2>/dev/null || echo none; mkdir -p deps; echo {key} > deps/x; ln -sf x deps/link"; }} ];
           }};"#
    )
}

fn file(fields: &str) -> String {
    format!("{{ nixactions, ... }}: nixactions.mkWorkflow {{ name = \"ci\"; {fields} }}")
}

#[test]
fn a_cache_is_found_by_its_key_then_by_the_beginnings_of_others() {
    let project = Project::new(&cached("deps-1", ""));
    let ran = project.ok(&[]);
    assert_eq!(ran.lines("a"), ["hit=false", "none"]);
    assert_eq!(ran.all("cache-saved").len(), 1);
    let ran = project.ok(&[]);
    assert_eq!(ran.lines("a"), ["hit=true", "deps-1"]);
    assert_eq!(ran.all("cache-saved").len(), 0, "an exact hit is not saved again");
    let project =
        project.with("ci.nix", &file(&cached("deps-2", "restoreKeys = [ \"nothing\" \"deps-\" ];")));
    let ran = project.ok(&[]);
    assert_eq!(ran.lines("a"), ["hit=false", "deps-1"]);
    assert_eq!(ran.all("cache-restored")[0]["exact"], false);
    assert_eq!(ran.all("cache-saved")[0]["key"], "deps-2");
    let ran = project.ok(&[]);
    assert_eq!(ran.lines("a"), ["hit=true", "deps-2"]);
}

#[test]
fn a_cache_of_a_failed_job_is_not_saved_and_missing_paths_are_a_warning() {
    let project = Project::new(
        r#"jobs.a = { cache = [ { key = "k"; paths = [ "x" ]; } ]; steps = [ { bash = "touch x; exit 1"; } ]; };
           jobs.b = { cache = [ { key = "k2"; paths = [ "y" ]; } ]; steps = [ { bash = "true"; } ]; };"#,
    );
    let ran = project.run(&[]);
    assert_eq!((ran.code, ran.result("b").as_str()), (1, "success"));
    assert!(ran.notices().contains("cache k2 cannot be saved"), "{}", ran.notices());
    assert_eq!(ran.all("cache-saved").len(), 0);
}

#[test]
fn the_least_used_caches_go_when_the_limit_is_reached() {
    let big = |key: &str| {
        format!(
            r#"jobs.a = {{ cache = [ {{ key = "{key}"; paths = [ "x" ]; }} ]; steps = [ {{ bash = "head -c 600000 /dev/zero > x"; }} ]; }};"#
        )
    };
    let mut project = Project::new(&big("one")).env("NIXACTIONS_CACHE_LIMIT", "1000000");
    project.ok(&[]);
    project = project.with("ci.nix", &file(&big("two")));
    project.ok(&[]);
    assert_eq!(project.ok(&[]).all("cache-restored").len(), 1, "the newer one is there");
    project = project.with("ci.nix", &file(&big("one")));
    assert_eq!(project.ok(&[]).all("cache-restored").len(), 0, "the older one made room");
}

#[test]
fn runs_at_the_same_time_keep_whole_caches() {
    let project = Project::new(
        r#"jobs.a = { cache = [ { key = "k"; paths = [ "x" ]; } ];
             steps = [ { bash = "mkdir -p x; for i in {1..200}; do echo $i > x/$i; done; [ $(ls x | wc -l) = 200 ]"; } ]; };"#,
    );
    let children: Vec<_> = (0..4)
        .map(|_| {
            project.command(&["run", "ci.nix"]).stdout(std::process::Stdio::null()).spawn().expect("starts")
        })
        .collect();
    for mut child in children {
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
    let ran = project.ok(&[]);
    assert_eq!(ran.all("cache-restored")[0]["exact"], true);
    let left = fs::read_dir(project.path(".cache/nixactions/kept/tmp")).map_or(0, |d| d.count());
    assert_eq!(left, 0, "nothing half made is left");
}

#[test]
fn caches_are_removed_on_demand() {
    let project = Project::new(&cached("k", "")).env("NIXACTIONS_EVAL_CACHE", "0");
    project.ok(&[]);
    let ran = project.call(&["clean", "--caches", "--dry-run"]);
    assert!(ran.out.contains("would remove 1 cache entries"), "{}", ran.out);
    let ran = project.call(&["clean", "--caches"]);
    assert!(ran.out.contains("removed 1 of 1 cache entries"), "{}", ran.out);
    assert_eq!(project.ok(&[]).all("cache-restored").len(), 0);
}

const UNCHANGED: &str = r#"
    jobs.build = {
      skipIfUnchanged.inputs = [ "src" ];
      env.MODE = "fast";
      outputs.bin = "out";
      steps = [ { id = "s"; bash = "mkdir out; cat $PROJECT/src/a > out/bin; chmod +x out/bin; echo v=1 >> $NIXACTIONS_OUTPUT; echo built"; } ];
      results.v = "steps.s.v";
    };
    jobs.use = { needs = [ "build" ]; inputs = [ "bin" ]; steps = [ { bash = "cat out/bin; test -x out/bin; echo $NEEDS_BUILD_V"; } ]; };
"#;

#[test]
fn an_unchanged_job_gives_again_what_it_gave() {
    let project = Project::new(UNCHANGED).with("src/a", "one\n").with("other", "x");
    let set = format!("PROJECT={}", project.dir.path().display());
    let run = |p: &Project| p.ok(&["-e", &set]);
    assert_eq!(run(&project).lines("build"), ["built"]);
    let ran = run(&project);
    assert_eq!((ran.lines("build").len(), ran.all("job-unchanged").len()), (0, 1));
    assert_eq!(ran.lines("use"), ["one", "1"]);
    // A file that is not among the inputs changes nothing; one that is, everything.
    let project = project.with("other", "y");
    assert_eq!(run(&project).lines("build").len(), 0);
    let project = project.with("src/a", "two\n");
    assert_eq!(run(&project).lines("use"), ["two", "1"]);
    // So do the steps and the environment.
    let project = project.with("ci.nix", &file(&UNCHANGED.replace("fast", "slow")));
    assert_eq!(run(&project).lines("build"), ["built"]);
    assert_eq!(project.ok(&["-e", &set, "-e", "NEW=1"]).lines("build"), ["built"]);
}
