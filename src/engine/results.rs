//! Values that jobs hand on: outputs of steps, results of jobs, and the variables that dependents
//! find them in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::PoisonError;
use std::time::Duration;

use super::driver::Shared;
use super::environment::variable_part;
use super::event::{EventKind, Failure, JobResult, Level, Name};
use super::job::JobRun;
use super::machine::JobId;

/// Values by name.
pub(super) type Values = BTreeMap<String, String>;

/// Most bytes of results of one job, as in GitHub Actions.
const LIMIT: usize = 1024 * 1024;

/// The assignments of a step's output file: lines `NAME=VALUE`, and values of several lines as
/// `NAME<<DELIMITER`, the lines, `DELIMITER`. Blank lines are skipped.
pub(super) fn parse(text: &str) -> Result<Values, String> {
    let mut values = Values::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        match (equals, heredoc) {
            (Some(at), heredoc) if heredoc.is_none_or(|h| at < h) => {
                values.insert(checked(&line[..at], number)?, line[at + 1..].to_owned());
            }
            (_, Some(at)) => {
                let name = checked(&line[..at], number)?;
                let delimiter = line[at + 2..].trim();
                if delimiter.is_empty() {
                    return Err(format!("line {}: no delimiter after `<<`", number + 1));
                }
                let mut value: Vec<&str> = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if line == delimiter => break,
                        Some((_, line)) => value.push(line),
                        None => return Err(format!("line {}: `{delimiter}` does not follow", number + 1)),
                    }
                }
                values.insert(name, value.join("\n"));
            }
            _ => return Err(format!("line {} is neither NAME=VALUE nor NAME<<DELIMITER", number + 1)),
        }
    }
    Ok(values)
}

fn checked(name: &str, number: usize) -> Result<String, String> {
    match name.trim() {
        "" => Err(format!("line {}: no name before the value", number + 1)),
        name => Ok(name.to_owned()),
    }
}

impl JobRun<'_> {
    /// Sets what the job hands on, from its steps' outputs.
    pub(super) fn hand_on(&self, outputs: &BTreeMap<String, Values>) -> Result<(), Failure> {
        let mut values = Values::new();
        for (name, from) in &self.job.results {
            let Some(value) = outputs.get(&from.step).and_then(|step| step.get(&from.output)) else {
                let step = self.job.steps.iter().find(|s| s.id.as_ref() == Some(&from.step));
                let step = step.map_or(from.step.as_str(), |s| s.name.as_str());
                let message = format!(
                    "the result `{name}` has no value: step `{step}` wrote no `{}` into $NIXACTIONS_OUTPUT",
                    from.output
                );
                return Err(Failure::Result { message });
            };
            values.insert(name.clone(), value.clone());
        }
        let size: usize = values.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > LIMIT {
            let message = format!("its results take {size} bytes; at most {LIMIT} are handed on");
            return Err(Failure::Result { message });
        }
        self.shared.set_values(self.id, values);
        Ok(())
    }
}

impl Shared {
    /// Sets what a job hands on. A value that holds a secret would get into the environment of other
    /// jobs, so it is not handed on.
    pub(super) fn set_values(&self, job: JobId, mut values: Values) {
        let name = Name::from(self.plan.jobs[job].name.as_str());
        values.retain(|key, value| {
            let open = self.reporter.mask(value) == value.as_str();
            if !open {
                let message = format!("the result `{key}` is not handed on, because it may hold a secret");
                self.reporter.notice(Level::Warning, Some(&name), &message);
            }
            open
        });
        if self.values[job].set(values).is_ok() {
            self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        }
    }

    /// What a job hands on, for reports.
    pub(super) fn masked_values(&self, job: JobId) -> BTreeMap<Name, String> {
        let values = self.values[job].get().into_iter().flatten();
        values
            .map(|(name, value)| (Name::from(name.as_str()), self.reporter.mask(value).into_owned()))
            .collect()
    }

    /// A result by the name of a job or of a matrix; of a matrix, that of the copy which ended last.
    fn value(&self, job: &str, result: &str) -> Option<String> {
        if let Some(&id) = self.names.get(job) {
            return self.values[id].get()?.get(result).cloned();
        }
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = finished
            .iter()
            .rev()
            .filter(|&&id| self.plan.jobs[id].matrix.as_ref().is_some_and(|copy| copy.job == job));
        copies.filter_map(|&id| self.values[id].get()?.get(result)).next().cloned()
    }

    /// The variables in which a job finds what its needs were and handed on.
    pub(super) fn needs_variables(&self, job: &crate::workflow::plan::Job) -> Vec<(OsString, OsString)> {
        let mut vars = Vec::new();
        let mut matrices: BTreeMap<&str, Vec<JobId>> = BTreeMap::new();
        // Inside of a call, jobs are known by the names that the called workflow gives them.
        let prefix = job.parent.as_ref().map_or(0, |parent| parent.len() + 1);
        let local = |name: &str| variable_part(name.get(prefix..).unwrap_or(name));
        for need in &job.needs {
            let Some(&id) = self.names.get(need) else { continue };
            if let Some(copy) = &self.plan.jobs[id].matrix {
                matrices.entry(&copy.job).or_default().push(id);
            }
            let base = local(need);
            if let Some(result) = self.results[id].get() {
                vars.push((format!("NEEDS_{base}_RESULT").into(), result.as_str().into()));
            }
            for (name, value) in self.values[id].get().into_iter().flatten() {
                vars.push((format!("NEEDS_{base}_{}", variable_part(name)).into(), value.into()));
            }
        }
        for (matrix, copies) in matrices {
            let base = local(matrix);
            let results: Vec<JobResult> =
                copies.iter().filter_map(|&id| self.results[id].get().copied()).collect();
            if let Some(result) = together(&results) {
                vars.push((format!("NEEDS_{base}_RESULT").into(), result.as_str().into()));
            }
            let names = copies.iter().flat_map(|&id| self.values[id].get().into_iter().flatten());
            let names: std::collections::BTreeSet<&String> = names.map(|(name, _)| name).collect();
            for name in names {
                if let Some(value) = self.value(matrix, name) {
                    vars.push((format!("NEEDS_{base}_{}", variable_part(name)).into(), value.into()));
                }
            }
        }
        vars
    }
}

/// The result of all copies of a matrix together: the worst of them.
fn together(results: &[JobResult]) -> Option<JobResult> {
    let order = [JobResult::Failure, JobResult::Cancelled, JobResult::Success, JobResult::Skipped];
    order.into_iter().find(|result| results.contains(result))
}

/// Sets the results of a call whose jobs have all ended; the event that says so.
pub(super) fn close(
    shared: &Shared,
    job: JobId,
    outcome: JobResult,
    result: JobResult,
    duration: Duration,
) -> EventKind {
    let mut values = Values::new();
    if let Some(call) = shared.plan.jobs[job].call.as_ref().filter(|_| outcome == JobResult::Success) {
        for (name, from) in &call.results {
            values.extend(shared.value(&from.job, &from.result).map(|value| (name.clone(), value)));
        }
    }
    shared.set_values(job, values);
    EventKind::JobFinished {
        job: shared.plan.jobs[job].name.as_str().into(),
        result,
        outcome,
        duration_us: duration.as_micros() as u64,
        failure: None,
        results: shared.masked_values(job),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_lines_or_blocks() {
        let got = parse("a=1\n\nb<<END\nx=1\ny\nEND\nc=d<<e\nempty=\n").expect("parses");
        let pairs: Vec<(&str, &str)> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x=1\ny"), ("c", "d<<e"), ("empty", "")]);
        assert_eq!(parse("a<<END\nx\n").unwrap_err(), "line 1: `END` does not follow");
        assert_eq!(parse("nonsense").unwrap_err(), "line 1 is neither NAME=VALUE nor NAME<<DELIMITER");
        assert_eq!(parse("=1").unwrap_err(), "line 1: no name before the value");
    }

    #[test]
    fn the_worst_copy_decides() {
        use JobResult::{Cancelled, Failure, Skipped, Success};
        assert_eq!(together(&[Success, Failure, Cancelled]), Some(Failure));
        assert_eq!(together(&[Success, Skipped]), Some(Success));
        assert_eq!(together(&[Skipped, Skipped]), Some(Skipped));
    }
}
