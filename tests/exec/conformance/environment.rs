//! The environment of steps.

use serde_json::json;

use super::Venue;
use crate::harness::{Run, step, step_with};

pub(crate) fn the_nearest_layer_of_the_environment_wins(venue: &Venue) {
    let steps = [
        step("echo $A $B $C ${GONE-unset} $WORKFLOW_NAME $JOB_NAME $CI $NIXACTIONS"),
        step_with("echo $A $B $C", json!({ "env": { "A": "step" } })),
        step_with(
            "echo $A $FROM_PROVIDER",
            json!({
                "envFrom": [{ "kind": "static", "env": { "A": "provider", "FROM_PROVIDER": "yes" } }],
            }),
        ),
    ];
    let fields = json!({ "env": { "A": "job", "B": "job", "GONE": null } });
    let mut run = Run::new()
        .workflow(json!({ "env": { "A": "workflow", "B": "workflow", "C": "workflow", "GONE": "here" } }))
        .job_with("j", &steps, venue.bare_with(fields));
    run.overrides = vec![("C".into(), "flag".into())];
    let ended = run.run();
    assert_eq!(
        ended.lines("j"),
        ["job job flag unset test j true true", "step job flag", "provider yes"],
        "{}",
        ended.all_json()
    );
}

pub(crate) fn the_environment_outside_overrides_and_session_names_stay(venue: &Venue) {
    let script =
        "echo $STAGE $PLAIN; [ -n \"$PATH\" ] && [ \"${HOME-x}\" != /nowhere ] && command -v cat >/dev/null";
    let mut run =
        Run::new().job_with("j", &[step(script)], venue.bare_with(json!({ "env": { "STAGE": "default" } })));
    run.ambient = vec![("STAGE", "prod".into()), ("PLAIN", "outside".into())];
    let ended = run.run();
    assert_eq!(
        (ended.lines("j"), ended.code()),
        (vec!["prod outside".to_owned()], 0),
        "{}",
        ended.all_json()
    );
}

pub(crate) fn awkward_values_arrive_whole(venue: &Venue) {
    let awkward = "it's \"quoted\" $HOME `x` \\ * ü\ttab\nsecond line ";
    let script = "printf '<%s>' \"$AWKWARD\"; printf '[%s]' \"$EMPTY\"";
    let fields = json!({ "env": { "AWKWARD": awkward, "EMPTY": "" } });
    let ended = Run::new().job_with("j", &[step_with(script, fields)], venue.bare()).run();
    assert_eq!(ended.lines("j").join("\n"), format!("<{awkward}>[]"), "{}", ended.all_json());
}

pub(crate) fn job_env_reaches_later_steps(venue: &Venue) {
    let ended = venue.run(&[
        step("echo PLAIN=one >> \"$JOB_ENV\"; echo 'export QUOTED=\"two words\"' >> \"$JOB_ENV\""),
        step("echo $PLAIN $QUOTED; echo 'COMPUTED=$((40 + 2))$PLAIN' >> \"$JOB_ENV\""),
        step_with("echo $PLAIN $QUOTED $COMPUTED", json!({ "env": { "PLAIN": "lost" } })),
        step("head -c 3000 /dev/zero | tr '\\0' x | sed 's/^/LONG=/' >> \"$JOB_ENV\""),
        step("echo ${#LONG}"),
    ]);
    assert_eq!(ended.lines("j"), ["one two words", "one two words 42one", "3000"], "{}", ended.all_json());
}

pub(crate) fn what_steps_say_to_the_engine_is_heard(venue: &Venue) {
    use nixactions::engine::event::EventKind;
    let ended = venue.run(&[
        step("echo '# Summary *one*' >> \"$NIXACTIONS_STEP_SUMMARY\"; echo a=1 >> \"$NIXACTIONS_OUTPUT\""),
        step("for i in $(seq 500); do echo \"line $i\"; done >> \"$NIXACTIONS_STEP_SUMMARY\""),
    ]);
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
    let summary = |kind: &EventKind| match kind {
        EventKind::Summary { markdown, .. } => Some(markdown.clone()),
        _ => None,
    };
    let summaries: Vec<String> = ended.events.iter().filter_map(|event| summary(&event.kind)).collect();
    assert_eq!(summaries.len(), 2, "{summaries:?}");
    assert_eq!(summaries[0], "# Summary *one*\n");
    assert!(summaries[1].ends_with("line 500\n") && summaries[1].starts_with("line 1\n"));
}

pub(crate) fn packages_come_first_on_the_path(venue: &Venue) {
    let package = super::venue::package();
    let fields = json!({ "deps": [package.path()] });
    let ended = Run::new()
        .job_with(
            "j",
            &[
                step_with("nixactions-conformance-tool; case $PATH in */bin:*) ;; *) exit 9;; esac", fields),
                step("command -v nixactions-conformance-tool || echo gone"),
            ],
            venue.bare(),
        )
        .run();
    assert_eq!(ended.lines("j"), ["the tool of the package", "gone"], "{}", ended.all_json());
}
