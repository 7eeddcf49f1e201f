//! Retry rules: merged over the levels, checked, completed.

use std::time::Duration;

use super::model::{RetryRule, Setting};
use super::plan::{Backoff, Retry};
use crate::diag::{Diagnostic, Severity};

/// Exit code of a step that ran out of time.
const TIMEOUT_CODE: i32 = 124;

impl RetryRule {
    /// This rule over another, field by field.
    fn over(&self, below: &RetryRule) -> RetryRule {
        RetryRule {
            max_attempts: self.max_attempts.or(below.max_attempts),
            backoff: self.backoff.or(below.backoff),
            min_time: self.min_time.or(below.min_time),
            max_time: self.max_time.or(below.max_time),
            jitter: self.jitter.or(below.jitter),
            on: self.on.clone().or_else(|| below.on.clone()),
            whole_job: self.whole_job.or(below.whole_job),
            span: self.span,
        }
    }

    /// The rule with its defaults; `None` when it never tries again.
    pub(super) fn complete(&self) -> Option<Retry> {
        let max_attempts = self.max_attempts.unwrap_or(1);
        if max_attempts < 2 {
            return None;
        }
        let ms = |d: Option<Duration>, default| d.map_or(default, |d| d.as_millis() as u64);
        // In the plan no codes and no timeout mean any failure.
        let (on_codes, on_timeout) = match &self.on {
            None => (Vec::new(), false),
            Some((codes, true)) if codes.is_empty() => (vec![TIMEOUT_CODE], true),
            Some((codes, timeout)) => (codes.clone(), *timeout || codes.is_empty()),
        };
        Some(Retry {
            max_attempts,
            backoff: self.backoff.unwrap_or(Backoff::Exponential),
            min_time_ms: ms(self.min_time, 1000),
            max_time_ms: ms(self.max_time, 60_000),
            jitter: self.jitter.unwrap_or(0.0),
            on_codes,
            on_timeout,
        })
    }
}

/// The rule of a level, given that of the level above it.
pub(super) fn merge(above: &Setting<RetryRule>, own: &Setting<RetryRule>) -> Setting<RetryRule> {
    match (above, own) {
        (Setting::Set(a), Setting::Set(b)) => Setting::Set(b.over(a)),
        (_, Setting::Off) => Setting::Off,
        (_, Setting::Set(b)) => Setting::Set(b.clone()),
        (a, Setting::Inherit) => a.clone(),
    }
}

/// The setting of a level, given that of the level above it.
pub(super) fn inherit<T: Clone>(above: &Setting<T>, own: &Setting<T>) -> Setting<T> {
    match own {
        Setting::Inherit => above.clone(),
        _ => own.clone(),
    }
}

/// Checks what a rule says, as one level gives it.
pub(super) fn check(setting: &Setting<RetryRule>, owner: &str, step: bool, out: &mut Vec<Diagnostic>) {
    let Setting::Set(r) = setting else { return };
    let error = |what: String| Diagnostic::error("NXA303", what);
    if r.jitter.is_some_and(|j| !(0.0..=1.0).contains(&j)) {
        out.push(
            error(format!("`jitter` of the retry rule of {owner} is not between 0 and 1"))
                .at(r.span, "in this rule")
                .help("it is the random share of the delay: 0 for none, 1 for all of it"),
        );
    }
    if step && r.whole_job == Some(true) {
        out.push(
            error(format!("{owner} cannot ask for its whole job to be run again"))
                .at(r.span, "`scope = \"job\"` belongs into the job's rule")
                .help("move the rule to the job"),
        );
    }
    if r.on.as_ref().is_some_and(|(codes, timeout)| codes.is_empty() && !timeout) {
        out.push(
            error(format!("`on` in the retry rule of {owner} is empty, so nothing is tried again"))
                .at(r.span, "in this rule")
                .help("leave `on` out to try again after any failure"),
        );
    }
    let min = r.min_time.unwrap_or(Duration::from_secs(1));
    let max = r.max_time.unwrap_or(Duration::from_secs(60));
    if min > max {
        out.push(
            Diagnostic::new(
                Severity::Hint,
                "NXA303",
                format!("`min_time` of the retry rule of {owner} is over its `max_time`"),
            )
            .at(r.span, format!("every delay is {} s", max.as_secs_f64()))
            .help("raise `max_time`, which bounds every delay"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_merge_field_by_field() {
        let workflow = Setting::Set(RetryRule {
            max_attempts: Some(3),
            min_time: Some(Duration::from_secs(2)),
            ..RetryRule::default()
        });
        let step = Setting::Set(RetryRule { backoff: Some(Backoff::Linear), ..RetryRule::default() });
        let Setting::Set(r) = merge(&workflow, &step) else { panic!() };
        let r = r.complete().unwrap();
        assert_eq!((r.max_attempts, r.backoff, r.min_time_ms), (3, Backoff::Linear, 2000));
        assert!(!r.on_timeout && r.on_codes.is_empty());
        assert_eq!(merge(&workflow, &Setting::Off), Setting::Off);
        assert_eq!(merge(&workflow, &Setting::Inherit), workflow);
    }

    #[test]
    fn a_timeout_alone_is_its_exit_code() {
        let r = RetryRule { max_attempts: Some(2), on: Some((vec![], true)), ..RetryRule::default() };
        assert_eq!(r.complete().unwrap().on_codes, [124]);
    }
}
