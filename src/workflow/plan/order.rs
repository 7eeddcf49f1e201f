//! The order of jobs as people see it: calls unfolded.

use std::collections::{HashMap, HashSet};

use super::{Job, Plan};

impl Plan {
    /// For each job those that it comes after, for pictures and the critical path. The jobs of a call
    /// stand between what the calling job needs and the calling job itself, which sums them up.
    pub fn comes_after(&self) -> Vec<Vec<&str>> {
        let by_name: HashMap<&str, &Job> = self.jobs.iter().map(|job| (job.name.as_str(), job)).collect();
        let needed: HashSet<&str> = self.jobs.iter().flat_map(|job| &job.needs).map(String::as_str).collect();
        // The last jobs of each call: those that no other job of it needs.
        let mut last: HashMap<&str, Vec<&str>> = HashMap::new();
        for job in &self.jobs {
            if let Some(parent) = job.parent.as_deref().filter(|_| !needed.contains(job.name.as_str())) {
                last.entry(parent).or_default().push(&job.name);
            }
        }
        let after = |job: &Job| -> Vec<&str> {
            if let Some(last) = last.get(job.name.as_str()) {
                return last.clone();
            }
            let mut around = Some(job);
            // A job that needs nothing inside of its call comes after what the call needs. Calls are
            // nested, so this ends; a plan from elsewhere may say otherwise, and is not followed further.
            for _ in 0..=self.jobs.len() {
                let Some(here) = around else { break };
                let needs = by_name.get(here.name.as_str()).map_or(&[][..], |job| &job.needs);
                if !needs.is_empty() {
                    return needs
                        .iter()
                        .filter_map(|n| Some(by_name.get_key_value(n.as_str())?.0))
                        .copied()
                        .collect();
                }
                around = here.parent.as_ref().and_then(|parent| by_name.get(parent.as_str()).copied());
            }
            Vec::new()
        };
        self.jobs.iter().map(after).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_are_unfolded() {
        let job = |name: &str, needs: &[&str], parent: Option<&str>, call: bool| {
            let local = json!({ "kind": "local", "name": "local" });
            let mut job =
                json!({ "name": name, "needs": needs, "executor": local, "steps": [], "parent": parent });
            if call {
                job["call"] = json!({ "workflow": "w" });
            }
            job
        };
        let jobs = json!([
            job("a", &[], None, false),
            job("c", &["a"], None, true),
            job("c/x", &[], Some("c"), false),
            job("c/y", &["c/x"], Some("c"), true),
            job("c/y/z", &[], Some("c/y"), false),
            job("d", &["c"], None, false),
        ]);
        let plan: Plan =
            serde_json::from_value(json!({ "version": 1, "name": "w", "projectDir": "/", "jobs": jobs }))
                .expect("a plan");
        let after: Vec<String> = plan.comes_after().iter().map(|names| names.join(",")).collect();
        assert_eq!(after, ["", "c/y", "a", "c/y/z", "c/x", "c"]);
    }
}
