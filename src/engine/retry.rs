//! Retry: whether another attempt follows, and after which delay.

use std::time::Duration;

use super::event::StepEnd;
use crate::workflow::plan::{Backoff, Retry};

/// Whether a failed attempt is followed by another.
pub fn wants_another(retry: Option<&Retry>, attempt: u32, end: &StepEnd) -> bool {
    let Some(retry) = retry else { return false };
    if attempt >= retry.max_attempts {
        return false;
    }
    match end {
        StepEnd::Exit { code: 0 } | StepEnd::Cancelled => false,
        _ if retry.on_codes.is_empty() => true,
        StepEnd::Timeout => retry.on_timeout || retry.on_codes.contains(&124),
        other => retry.on_codes.contains(&other.code()),
    }
}

/// The delay after attempt `attempt` (from 1). `random`, in 0..1, places it within the jitter's
/// share: with jitter 0.2 the delay is between 80 % and 100 % of what backoff says, so it never
/// exceeds `max_time`.
pub fn delay(retry: &Retry, attempt: u32, random: f64) -> Duration {
    let n = attempt.max(1);
    let factor = match retry.backoff {
        Backoff::Exponential => 1u64.checked_shl(n - 1).unwrap_or(u64::MAX),
        Backoff::Linear => u64::from(n),
        Backoff::Constant => 1,
    };
    let full = retry.min_time_ms.saturating_mul(factor).min(retry.max_time_ms);
    let share = (retry.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0) * full as f64) as u64;
    Duration::from_millis(full - share.min(full))
}

/// A number in 0..1 that differs from call to call; good enough to spread retries.
pub fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(backoff: Backoff) -> Retry {
        Retry {
            max_attempts: 3,
            backoff,
            min_time_ms: 1000,
            max_time_ms: 5000,
            jitter: 0.0,
            on_codes: vec![],
            on_timeout: false,
        }
    }

    #[test]
    fn delays_grow_and_are_bounded() {
        let delays = |backoff| [1, 2, 3, 4, 100].map(|n| delay(&rule(backoff), n, 0.0).as_millis());
        assert_eq!(delays(Backoff::Exponential), [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(delays(Backoff::Linear), [1000, 2000, 3000, 4000, 5000]);
        assert_eq!(delays(Backoff::Constant), [1000; 5]);
        let jittered = Retry { jitter: 0.5, ..rule(Backoff::Constant) };
        assert_eq!(delay(&jittered, 1, 1.0).as_millis(), 500);
    }

    #[test]
    fn only_the_failures_asked_for_are_retried() {
        let any = rule(Backoff::Constant);
        let exit = |code| StepEnd::Exit { code };
        assert!(wants_another(Some(&any), 2, &exit(7)) && wants_another(Some(&any), 1, &StepEnd::Timeout));
        assert!(!wants_another(Some(&any), 3, &exit(7)) && !wants_another(Some(&any), 1, &exit(0)));
        assert!(!wants_another(Some(&any), 1, &StepEnd::Cancelled) && !wants_another(None, 1, &exit(1)));
        let some = Retry { on_codes: vec![7], ..any.clone() };
        assert!(wants_another(Some(&some), 1, &exit(7)) && !wants_another(Some(&some), 1, &exit(1)));
        assert!(!wants_another(Some(&some), 1, &StepEnd::Timeout));
        let timeout = Retry { on_codes: vec![124], on_timeout: true, ..any };
        assert!(wants_another(Some(&timeout), 1, &StepEnd::Timeout));
        assert!(!wants_another(Some(&timeout), 1, &exit(1)));
    }

    #[test]
    fn random_is_within_bounds() {
        assert!((0..100).map(|_| random()).all(|r| (0.0..1.0).contains(&r)));
    }
}
