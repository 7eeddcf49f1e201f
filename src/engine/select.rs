//! Choosing jobs: `--job`, `--tag`, `--from`, `--skip`.
//!
//! A job is named by its name, a glob, the name of its matrix (all copies), or that of a call (with
//! all its jobs). `--job` and `--tag` take what they name and all that it needs; `--from` takes what it
//! names and all that comes after; both together take what lies between; `--skip` leaves out. A job
//! that is left out stands in nobody's way: its dependents run as if they did not need it.

use std::collections::{BTreeSet, HashMap};

use globset::GlobBuilder;

use super::machine::{JobId, Preset};
use crate::base::suggest;
use crate::workflow::plan::Plan;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// `--job`
    pub jobs: Vec<String>,
    /// `--tag`
    pub tags: Vec<String>,
    /// `--from`
    pub from: Vec<String>,
    /// `--skip`
    pub skip: Vec<String>,
}

/// Why nothing can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A name that no job has.
    #[error("`{option} {name}`: there is no such job{}", .near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    NoJob {
        /// The option.
        option: &'static str,
        /// What was given.
        name: String,
        /// A name that is near.
        near: Option<String>,
    },
    /// A tag that no job has.
    #[error("`--tag {tag}`: no job has this tag; there are: {known}")]
    NoTag {
        /// What was given.
        tag: String,
        /// All tags.
        known: String,
    },
    /// A glob that cannot be read.
    #[error("`{option} {name}`: {error}")]
    Glob {
        /// The option.
        option: &'static str,
        /// What was given.
        name: String,
        /// What is wrong with it.
        error: String,
    },
    /// The options together leave no job.
    #[error("the options leave no job to run")]
    Nothing,
}

impl Selection {
    /// Whether nothing was asked for, so that everything is run.
    pub fn is_empty(&self) -> bool {
        *self == Selection::default()
    }

    /// Which jobs are left out, and by what.
    pub fn left_out(&self, plan: &Plan) -> Result<HashMap<JobId, String>, SelectError> {
        let jobs = Jobs::new(plan);
        let mut wanted = jobs.all();
        let mut by = HashMap::new();
        let mut restrict = |to: &BTreeSet<JobId>, why: String| {
            for job in jobs.all().difference(to) {
                wanted.remove(job);
                by.entry(*job).or_insert_with(|| why.clone());
            }
        };
        if !self.jobs.is_empty() || !self.tags.is_empty() {
            let mut named = jobs.named("--job", &self.jobs)?;
            named.extend(jobs.tagged(&self.tags)?);
            let options = self.jobs.iter().map(|job| format!("--job {job}"));
            let options: Vec<String> =
                options.chain(self.tags.iter().map(|tag| format!("--tag {tag}"))).collect();
            let closed = jobs.closed(named, &jobs.needs);
            restrict(&closed, format!("{}, which does not need it", options.join(" ")));
        }
        if !self.from.is_empty() {
            let closed = jobs.closed(jobs.named("--from", &self.from)?, &jobs.dependents);
            restrict(&closed, format!("--from {}: it does not come after", self.from.join(" --from ")));
        }
        for name in &self.skip {
            let skipped = jobs.named("--skip", std::slice::from_ref(name))?;
            let rest = jobs.all().difference(&skipped).copied().collect();
            restrict(&rest, format!("--skip {name}"));
        }
        if wanted.is_empty() {
            return Err(SelectError::Nothing);
        }
        // A call is open as long as one of its jobs is wanted.
        for job in wanted.iter().flat_map(|&job| jobs.around(job)) {
            by.remove(&job);
        }
        Ok(by)
    }

    /// Puts the choice over what is known of the jobs already.
    pub fn apply(
        &self,
        plan: &Plan,
        presets: &mut Vec<Preset>,
    ) -> Result<HashMap<JobId, String>, SelectError> {
        let left_out = self.left_out(plan)?;
        presets.resize(plan.jobs.len(), Preset::Run);
        for (&job, _) in left_out.iter().filter(|(_, by)| !by.is_empty()) {
            if presets[job] == Preset::Run {
                presets[job] = Preset::LeaveOut;
            }
        }
        Ok(left_out)
    }
}

struct Jobs<'p> {
    plan: &'p Plan,
    ids: HashMap<&'p str, JobId>,
    needs: Vec<Vec<JobId>>,
    dependents: Vec<Vec<JobId>>,
    children: Vec<Vec<JobId>>,
}

impl<'p> Jobs<'p> {
    fn new(plan: &'p Plan) -> Jobs<'p> {
        let ids: HashMap<&str, JobId> =
            plan.jobs.iter().enumerate().map(|(id, job)| (job.name.as_str(), id)).collect();
        let count = plan.jobs.len();
        let mut jobs = Jobs {
            plan,
            ids,
            needs: vec![Vec::new(); count],
            dependents: vec![Vec::new(); count],
            children: vec![Vec::new(); count],
        };
        for (id, job) in plan.jobs.iter().enumerate() {
            for &need in job.needs.iter().filter_map(|need| jobs.ids.get(need.as_str())) {
                jobs.needs[id].push(need);
                jobs.dependents[need].push(id);
            }
            if let Some(&parent) = job.parent.as_ref().and_then(|parent| jobs.ids.get(parent.as_str())) {
                jobs.children[parent].push(id);
            }
        }
        jobs
    }

    fn all(&self) -> BTreeSet<JobId> {
        (0..self.plan.jobs.len()).collect()
    }

    /// The calls that a job is in.
    fn around(&self, job: JobId) -> impl Iterator<Item = JobId> + '_ {
        let parent = |id: &JobId| self.ids.get(self.plan.jobs[*id].parent.as_ref()?.as_str()).copied();
        std::iter::successors(parent(&job), parent)
    }

    fn named(&self, option: &'static str, names: &[String]) -> Result<BTreeSet<JobId>, SelectError> {
        let mut found = BTreeSet::new();
        for name in names {
            let before = found.len();
            let glob = GlobBuilder::new(name).literal_separator(true).build().map_err(|error| {
                SelectError::Glob { option, name: name.clone(), error: error.kind().to_string() }
            })?;
            let glob = glob.compile_matcher();
            for (id, job) in self.plan.jobs.iter().enumerate() {
                let matrix = job.matrix.as_ref().is_some_and(|copy| copy.job == *name);
                if job.name == *name || matrix || glob.is_match(&job.name) {
                    found.insert(id);
                }
            }
            if found.len() == before && !self.ids.contains_key(name.as_str()) {
                let known = self.plan.jobs.iter().map(|job| job.name.as_str());
                let near = suggest::nearest(name, known).first().map(|near| (*near).to_owned());
                return Err(SelectError::NoJob { option, name: name.clone(), near });
            }
        }
        self.with_children(&mut found);
        Ok(found)
    }

    fn tagged(&self, tags: &[String]) -> Result<BTreeSet<JobId>, SelectError> {
        let mut found = BTreeSet::new();
        for tag in tags {
            let before = found.len();
            let has = |(_, job): &(JobId, &crate::workflow::plan::Job)| job.tags.contains(tag);
            found.extend(self.plan.jobs.iter().enumerate().filter(has).map(|(id, _)| id));
            if found.len() == before {
                let known: BTreeSet<&str> =
                    self.plan.jobs.iter().flat_map(|job| &job.tags).map(String::as_str).collect();
                let known: Vec<&str> = known.into_iter().collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(SelectError::NoTag { tag: tag.clone(), known });
            }
        }
        self.with_children(&mut found);
        Ok(found)
    }

    /// Adds the jobs of calls.
    fn with_children(&self, found: &mut BTreeSet<JobId>) {
        let mut open: Vec<JobId> = found.iter().copied().collect();
        while let Some(job) = open.pop() {
            open.extend(self.children[job].iter().filter(|child| found.insert(**child)));
        }
    }

    /// A set with everything that edges lead to. What holds for a call holds for its jobs.
    fn closed(&self, from: BTreeSet<JobId>, edges: &[Vec<JobId>]) -> BTreeSet<JobId> {
        let mut found = from;
        let mut open: Vec<JobId> = found.iter().copied().collect();
        while let Some(job) = open.pop() {
            let mut next: BTreeSet<JobId> = edges[job].iter().copied().collect();
            next.extend(self.around(job).flat_map(|call| edges[call].iter().copied()));
            self.with_children(&mut next);
            open.extend(next.into_iter().filter(|job| found.insert(*job)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let job = |name: &str, needs: &[&str], tags: &[&str]| {
            serde_json::json!({ "name": name, "needs": needs, "tags": tags, "steps": [],
                "executor": { "kind": "local", "name": "local" } })
        };
        serde_json::from_value(serde_json::json!({ "version": 1, "name": "w", "projectDir": "/", "jobs": [
            job("build", &["lint"], &[]),
            job("deploy", &["test-a", "test-b"], &["release"]),
            job("docs", &[], &["slow"]),
            job("lint", &[], &["quick"]),
            job("test-a", &["build"], &["quick"]),
            job("test-b", &["build"], &["slow"]),
        ]}))
        .expect("a plan")
    }

    fn wanted(selection: &Selection) -> Result<Vec<String>, SelectError> {
        let plan = plan();
        let left = selection.left_out(&plan)?;
        let kept = |(id, _): &(usize, &crate::workflow::plan::Job)| !left.contains_key(id);
        Ok(plan.jobs.iter().enumerate().filter(kept).map(|(_, job)| job.name.clone()).collect())
    }

    fn names(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn jobs_come_with_what_they_need_and_from_with_what_follows() {
        let none = Selection::default;
        let jobs = Selection { jobs: names(&["test-a"]), ..none() };
        assert_eq!(wanted(&jobs), Ok(names(&["build", "lint", "test-a"])));
        let from = Selection { from: names(&["build"]), ..none() };
        assert_eq!(wanted(&from), Ok(names(&["build", "deploy", "test-a", "test-b"])));
        let both = Selection { from: names(&["build"]), jobs: names(&["test-b"]), ..none() };
        assert_eq!(wanted(&both), Ok(names(&["build", "test-b"])));
        let skip = Selection { skip: names(&["test-*", "docs"]), ..none() };
        assert_eq!(wanted(&skip), Ok(names(&["build", "deploy", "lint"])));
        let tags = Selection { tags: names(&["quick"]), ..none() };
        assert_eq!(wanted(&tags), Ok(names(&["build", "lint", "test-a"])));
        assert_eq!(wanted(&none()).map(|all| all.len()), Ok(6));
    }

    #[test]
    fn what_does_not_exist_is_an_error_with_a_way_out() {
        let error = |selection: Selection| wanted(&selection).expect_err("wrong").to_string();
        let jobs = Selection { jobs: names(&["biuld"]), ..Selection::default() };
        assert_eq!(error(jobs), "`--job biuld`: there is no such job; did you mean `build`?");
        let tags = Selection { tags: names(&["fast"]), ..Selection::default() };
        assert_eq!(error(tags), "`--tag fast`: no job has this tag; there are: quick, release, slow");
        let nothing = Selection { jobs: names(&["docs"]), skip: names(&["*"]), ..Selection::default() };
        assert_eq!(error(nothing), "the options leave no job to run");
    }
}
