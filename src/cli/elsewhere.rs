//! `--executor`: the jobs of a plan on another executor than the file says.

use serde_json::{Map, Value};

use super::error::CliError;
use crate::exec::registry::Registry;
use crate::workflow::plan::{Executor, Plan};

/// Puts all jobs on the executor that a word means: the name of one in the plan, a kind (`local`), or
/// a kind and what it cannot do without (`ssh:HOST`, `oci:IMAGE`).
pub(super) fn apply(plan: &mut Plan, word: &str) -> Result<(), CliError> {
    let executor = find(plan, word)?;
    plan.jobs.iter_mut().for_each(|job| job.executor = executor.clone());
    Ok(())
}

fn find(plan: &Plan, word: &str) -> Result<Executor, CliError> {
    if let Some(job) = plan.jobs.iter().find(|job| job.executor.name == word) {
        return Ok(job.executor.clone());
    }
    let (kind, value) = word.split_once(':').map_or((word, None), |(kind, value)| (kind, Some(value)));
    let option = match (kind, value) {
        ("local", None) => None,
        ("ssh", Some(host)) if !host.is_empty() => Some(("host", host)),
        ("oci" | "podman", Some(image)) if !image.is_empty() => Some(("image", image)),
        ("nixos-container", Some(root)) if !root.is_empty() => Some(("root", root)),
        _ => return Err(CliError::Usage(unknown(plan, word))),
    };
    let options: Map<String, Value> =
        option.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    Ok(Executor { kind: kind.to_owned(), name: kind.to_owned(), options })
}

fn unknown(plan: &Plan, word: &str) -> String {
    let mut names: Vec<&str> = plan.jobs.iter().map(|job| job.executor.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let kinds: Vec<&str> = Registry::kinds().collect();
    let hint = if kinds.contains(&word) { " needs to be told more: " } else { " is none: " };
    format!(
        "`--executor {word}`{hint}write the name of an executor of the workflow ({}), or local, ssh:HOST, oci:IMAGE, \
         podman:IMAGE or nixos-container:ROOT",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        serde_json::from_value(serde_json::json!({
            "version": 1, "name": "w", "projectDir": "/",
            "jobs": [
                { "name": "a", "steps": [], "executor": { "kind": "local", "name": "local" } },
                { "name": "b", "steps": [], "executor": { "kind": "oci", "name": "box", "options": { "image": "i" } } },
            ],
        }))
        .expect("a plan")
    }

    #[test]
    fn all_jobs_go_where_the_word_says() {
        for (word, kind) in [("box", "oci"), ("local", "local"), ("ssh:h", "ssh"), ("oci:a:1", "oci")] {
            let mut plan = plan();
            assert!(apply(&mut plan, word).is_ok(), "{word}");
            assert!(plan.jobs.iter().all(|job| job.executor.kind == kind), "{word}");
        }
        let mut plan = plan();
        assert!(apply(&mut plan, "oci:a:1").is_ok());
        assert_eq!(plan.jobs[0].executor.options["image"], "a:1");
    }

    #[test]
    fn a_word_that_means_nothing_is_answered_with_what_does() {
        for word in ["moon", "ssh", "ssh:"] {
            let error = apply(&mut plan(), word).expect_err(word).to_string();
            assert!(error.contains("box, local") && error.contains("ssh:HOST"), "{error}");
        }
    }
}
