//! Durations: an integer of seconds, or a text such as `90s`, `5m`, `1h30m`, `250ms`.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A number was expected.
    #[error("`{0}` is not a number followed by a unit")]
    NotANumber(String),
    /// A unit nobody knows.
    #[error("`{0}` is not a unit of time")]
    UnknownUnit(String),
    /// A number other than the only one has no unit.
    #[error("`{0}` has no unit")]
    MissingUnit(String),
    /// Units twice, or not from the largest to the smallest.
    #[error("its units must go from the largest to the smallest, each at most once")]
    Order,
    /// Below zero.
    #[error("it is negative")]
    Negative,
    /// More than can be counted.
    #[error("it is too long")]
    TooLong,
}

/// What durations look like, for help texts.
pub const FORMS: &str = "write seconds as an integer, or a text like \"90s\", \"5m\", \"1h30m\" or \"250ms\"";

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest duration: a hundred years, so that adding to a clock never overflows.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;

/// A duration from seconds.
pub fn from_seconds(seconds: i64) -> Result<Duration, DurationError> {
    let s = u64::try_from(seconds).map_err(|_| DurationError::Negative)?;
    bounded(s.checked_mul(1000).ok_or(DurationError::TooLong)?)
}

fn bounded(ms: u64) -> Result<Duration, DurationError> {
    if ms > LONGEST_MS { Err(DurationError::TooLong) } else { Ok(Duration::from_millis(ms)) }
}

/// A duration from a text.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if let Some(rest) = text.strip_prefix('-')
        && rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(DurationError::Negative);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err(DurationError::NotANumber(rest.to_string()));
        }
        let n: u64 = rest[..digits].parse().map_err(|_| DurationError::TooLong)?;
        let after = &rest[digits..];
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let unit = &after[..letters];
        let scale = if unit.is_empty() {
            if !after.is_empty() {
                return Err(DurationError::NotANumber(rest.to_string()));
            }
            if smallest != u64::MAX {
                return Err(DurationError::MissingUnit(rest.to_string()));
            }
            1000
        } else {
            UNITS
                .iter()
                .find(|u| u.0 == unit)
                .map(|u| u.1)
                .ok_or_else(|| DurationError::UnknownUnit(unit.to_string()))?
        };
        if scale >= smallest {
            return Err(DurationError::Order);
        }
        smallest = scale;
        total = n.checked_mul(scale).and_then(|ms| total.checked_add(ms)).ok_or(DurationError::TooLong)?;
        rest = &after[letters..];
    }
    bounded(total)
}

/// Words for units that people write.
const WORDS: [(&str, &[&str]); 5] = [
    ("d", &["d", "day", "days"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("ms", &["ms", "msec", "msecs", "millisecond", "milliseconds"]),
];

/// The duration that a text which is none was likely meant to be: `10m` for `10 minutes`, `1h30m` for
/// `30m1h` or `1.5 hours`.
pub fn meant(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase().replace(" and ", " ");
    let mut rest = lower.trim();
    let mut total = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let after = rest[number..].trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = WORDS.iter().find(|w| w.1.contains(&&after[..letters]))?.0;
        let scale = UNITS.iter().find(|u| u.0 == unit)?.1;
        let ms = rest[..number].parse::<f64>().ok()? * scale as f64;
        if ms >= LONGEST_MS as f64 || ms.fract() != 0.0 {
            return None;
        }
        total += ms as u64;
        rest = after[letters..].trim_start_matches([' ', ',']);
    }
    let bounded = bounded(total).ok().filter(|d| !d.is_zero())?;
    Some(written(bounded))
}

/// A duration as a text, with the largest units first.
fn written(duration: Duration) -> String {
    let mut left = duration.as_millis() as u64;
    let mut out = String::new();
    for (unit, scale) in UNITS {
        if left >= scale {
            out += &format!("{}{unit}", left / scale);
            left %= scale;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        for (text, wanted) in [
            ("10 minutes", Some("10m")),
            ("5min", Some("5m")),
            ("1 hour and 30 minutes", Some("1h30m")),
            ("30m1h", Some("1h30m")),
            ("1.5h", Some("1h30m")),
            ("1 Day, 2 hrs", Some("1d2h")),
            ("soon", None),
            ("10", None),
            ("1.0001s", None),
            ("0 minutes", None),
            ("9999999999999 days", None),
            ("1..5h", None),
            ("", None),
        ] {
            assert_eq!(meant(text).as_deref(), wanted, "{text}");
            assert!(wanted.is_none_or(|w| parse(w).is_ok()));
        }
    }

    #[test]
    fn forms() {
        let ms = |t: &str| parse(t).map(|d| d.as_millis());
        assert_eq!(ms("90s"), Ok(90_000));
        assert_eq!(ms("5m"), Ok(300_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1m500ms"), Ok(60_500));
        assert_eq!(ms("30"), Ok(30_000));
        assert_eq!(ms("1d"), Ok(86_400_000));
        assert_eq!(ms("30m1h"), Err(DurationError::Order));
        assert_eq!(ms("1h30"), Err(DurationError::MissingUnit("30".into())));
        assert_eq!(ms("5min"), Err(DurationError::UnknownUnit("min".into())));
        assert_eq!(ms("soon"), Err(DurationError::NotANumber("soon".into())));
        assert_eq!(ms("1.5h"), Err(DurationError::NotANumber("1.5h".into())));
        assert_eq!(ms("-5s"), Err(DurationError::Negative));
        assert_eq!(ms(""), Err(DurationError::Empty));
        assert_eq!(ms("99999999999999999999s"), Err(DurationError::TooLong));
        assert_eq!(from_seconds(i64::MAX), Err(DurationError::TooLong));
        assert_eq!(from_seconds(-1), Err(DurationError::Negative));
    }
}
