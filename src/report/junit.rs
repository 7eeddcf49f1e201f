//! A run as JUnit XML: a test suite a job, a test case a step.
//!
//! The format is the one that <https://github.com/testmoapp/junitxml> describes.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::record::{Job, Record, Step};
use super::text::printable;
use crate::engine::event::JobResult;

/// Writes the run.
pub(super) fn render(record: &Record) -> Result<String, String> {
    let mut report = Report::new(record.workflow.as_str());
    report.set_time(record.finished.since(record.started));
    for job in &record.jobs {
        report.add_test_suite(suite(record, job));
    }
    report.to_string().map_err(|e| e.to_string())
}

fn suite(record: &Record, job: &Job) -> TestSuite {
    let mut suite = TestSuite::new(job.info.name.as_str());
    suite.set_time(Duration::from_micros(job.duration_us));
    if job.started.0 > 0 {
        suite.extra.insert("timestamp".into(), job.started.to_string().into());
    }
    let class = format!("{}.{}", record.workflow, job.info.name);
    for step in &job.steps {
        suite.add_test_case(case(&class, step));
    }
    // A job that failed though none of its steps did must not look as if it had passed.
    let told = job.steps.iter().any(|step| step.result == job.outcome);
    if let (false, Some(outcome)) = (told, job.outcome) {
        let reason = job.reason.clone().unwrap_or_else(|| format!("the job ended with {outcome}"));
        let status = match outcome {
            JobResult::Success => TestCaseStatus::success(),
            JobResult::Skipped => skipped(&reason),
            JobResult::Failure | JobResult::Cancelled => failed(NonSuccessKind::Error, &reason),
        };
        let mut case = TestCase::new(job.info.name.as_str(), status);
        case.set_classname(class);
        suite.add_test_case(case);
    }
    suite
}

fn case(class: &str, step: &Step) -> TestCase {
    let status = match (step.result, &step.end) {
        (Some(JobResult::Success), _) => TestCaseStatus::success(),
        (Some(JobResult::Skipped), _) => skipped(step.skipped.as_deref().unwrap_or("skipped")),
        (Some(JobResult::Failure), Some(end)) => failed(NonSuccessKind::Failure, &end.to_string()),
        (Some(JobResult::Failure), None) => failed(NonSuccessKind::Failure, "failed"),
        (Some(JobResult::Cancelled), _) => failed(NonSuccessKind::Error, "cancelled"),
        (None, _) => failed(NonSuccessKind::Error, "interrupted"),
    };
    let mut case = TestCase::new(step.step.name.as_str(), status);
    case.set_classname(class);
    case.set_time(Duration::from_micros(step.duration_us));
    let lines: Vec<String> = step.tail.lines().map(printable).collect();
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

fn failed(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn jobs_are_suites_and_steps_are_cases() {
        let xml = render(&record()).expect("XML");
        assert!(
            xml.contains(r#"<testsuites name="ci" tests="3" skipped="1" failures="1" errors="0""#),
            "{xml}"
        );
        assert!(
            xml.contains(r#"<testsuite name="test" tests="1" skipped="0" errors="0" failures="1""#),
            "{xml}"
        );
        assert!(xml.contains(r#"<failure message="exit code 1""#), "{xml}");
        assert!(xml.contains("running\nassertion failed"), "{xml}");
        assert!(xml.contains(r#"<skipped message="success() is false: test ended with failure""#), "{xml}");
    }
}
