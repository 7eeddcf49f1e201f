//! Files that come and go.

use std::fs;

use nixactions::engine::event::JobResult;
use serde_json::json;

use super::Venue;
use super::venue::repository;
use crate::harness::{Run, step, step_with, with};

pub(crate) fn steps_run_where_workdir_says(venue: &Venue) {
    let ended = venue.run(&[
        step("mkdir -p \"a dir/below\"; [ \"$PWD\" -ef \"$JOB_DIR\" ]"),
        step_with(
            "[ \"$PWD\" -ef \"$JOB_DIR/a dir/below\" ] && echo here",
            json!({ "workdir": "a dir/below" }),
        ),
        step_with("pwd", json!({ "workdir": "/usr" })),
        step_with("echo never", json!({ "workdir": "missing" })),
    ]);
    assert_eq!(ended.lines("j"), ["here", "/usr"], "{}", ended.all_json());
    let said = ended.all_json();
    assert!(said.contains("working directory") && ended.code() == 3, "{said}");
}

pub(crate) fn artifacts_keep_modes_links_and_dotfiles(venue: &Venue) {
    let make = step(
        "mkdir -p out/.hidden out/empty out/locked; echo x > out/.hidden/file; chmod 640 out/.hidden/file
         printf '#!/bin/sh\\necho ran\\n' > out/run.sh; chmod 755 out/run.sh; ln -s run.sh out/link; ln -s /nowhere out/dangling
         echo y > 'out/two words'; echo z > out/locked/inside; chmod 444 out/locked/inside; chmod 555 out/locked",
    );
    let look = step(
        "cd in/out; ./run.sh; readlink link; readlink dangling; stat -c '%a %n' .hidden/file run.sh locked/inside locked
         cat 'two words' locked/inside; [ -d empty ] && echo empty",
    );
    let ended = Run::new()
        .job_with("make", &[make], venue.bare_with(json!({ "outputs": [{ "name": "out", "path": "out" }] })))
        .job_with(
            "use",
            &[look],
            venue.bare_with(json!({ "needs": ["make"], "inputs": [{ "name": "out", "path": "in" }] })),
        )
        .run();
    let want = [
        "ran",
        "run.sh",
        "/nowhere",
        "640 .hidden/file",
        "755 run.sh",
        "444 locked/inside",
        "555 locked",
        "y",
        "z",
        "empty",
    ];
    assert_eq!(ended.lines("use"), want, "{}", ended.all_json());
    assert!(ended.all_json().contains("\"files\":6"), "{}", ended.all_json());
}

pub(crate) fn artifacts_are_found_by_globs_and_missing_ones_fail(venue: &Venue) {
    let make = step("mkdir -p a/b; touch a/x.txt a/b/y.txt a/z.log .x.txt 'a/q uote.txt'");
    let outputs = json!([{ "name": "texts", "path": "**/*.txt" }, { "name": "flat", "path": "a/*.log" }]);
    let fields = with(
        venue.bare(),
        json!({ "needs": ["make"], "inputs": [{ "name": "texts", "path": "." }, { "name": "flat", "path": "sub" }] }),
    );
    let ended = Run::new()
        .job_with("make", &[make], venue.bare_with(json!({ "outputs": outputs })))
        .job_with("use", &[step("find . -type f | LC_ALL=C sort")], fields)
        .job_with(
            "none",
            &[step("true")],
            venue.bare_with(json!({ "outputs": [{ "name": "none", "path": "dist" }] })),
        )
        .job_with(
            "glob",
            &[step("true")],
            venue.bare_with(json!({ "outputs": [{ "name": "glob", "path": "*.zip" }] })),
        )
        .run();
    assert_eq!(
        ended.lines("use"),
        ["./.x.txt", "./a/b/y.txt", "./a/q uote.txt", "./a/x.txt", "./sub/a/z.log"],
        "{}",
        ended.all_json()
    );
    assert_eq!(
        (ended.result("none"), ended.result("glob"), ended.code()),
        (JobResult::Failure, JobResult::Failure, 1)
    );
    assert!(ended.all_json().contains("`dist` does not exist"), "{}", ended.all_json());
}

pub(crate) fn nothing_outside_the_job_directory_is_touched(venue: &Venue) {
    let outputs = |path: &str| {
        venue.bare_with(json!({ "outputs": [{ "name": path.replace(['/', '*'], "-"), "path": path }] }))
    };
    let ended = Run::new()
        .job_with("link", &[step("ln -s /etc way")], outputs("way/passwd"))
        .job_with("glob", &[step("ln -s /etc way")], outputs("way/*"))
        .job_with("fifo", &[step("mkfifo pipe")], outputs("pipe"))
        .job_with("make", &[step("mkdir d; echo new > d/f")], outputs("d"))
        .job_with(
            "into",
            &[step("true")],
            venue
                .bare_with(json!({ "needs": ["make"], "inputs": [{ "name": "d", "path": "../elsewhere" }] })),
        )
        .run();
    for job in ["link", "glob", "fifo", "into"] {
        assert_eq!(ended.result(job), JobResult::Failure, "{job}: {}", ended.all_json());
    }
    assert_eq!(ended.code(), 1, "all of these are faults of the job: {}", ended.all_json());
}

pub(crate) fn the_project_is_there_and_git_works_in_it(venue: &Venue) {
    let run = Run::new();
    let project = run.project();
    fs::create_dir_all(project.join("src/deep")).expect("made");
    fs::write(project.join("src/deep/a.txt"), "tracked").expect("written");
    fs::write(project.join("run.sh"), "#!/bin/sh\necho from the project\n").expect("written");
    std::os::unix::fs::symlink("src/deep/a.txt", project.join("link")).expect("linked");
    fs::write(project.join(".gitignore"), "ignored\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(project.join("run.sh"), mode).expect("set");
    repository(&project);
    fs::write(project.join("untracked"), "also here").expect("written");
    fs::write(project.join("ignored"), "not here").expect("written");
    let script = "./run.sh; cat link; echo; cat untracked; echo; [ ! -e ignored ]
        git status --porcelain; git log --format=%s; echo change > run.sh; git commit -qam second; git log --format=%s | wc -l";
    let own = step("cat run.sh | head -1; echo mine > src/deep/a.txt");
    let fields = json!({ "executor": venue.executor("copyRepo", json!(true)) });
    let (first, second) = (fields.clone(), with(fields, json!({ "needs": ["a"] })));
    let ended = run.job_with("a", &[step(script)], first).job_with("b", &[own], second).run();
    assert_eq!(
        ended.lines("a"),
        ["from the project", "tracked", "also here", "?? untracked", "first", "2"],
        "{}",
        ended.all_json()
    );
    assert_eq!(ended.lines("b"), ["#!/bin/sh"], "a job sees no other job's changes: {}", ended.all_json());
    let project = ended.root.path().join("project");
    assert_eq!(fs::read_to_string(project.join("src/deep/a.txt")).expect("there"), "tracked");
    venue.assert_clean();
}
