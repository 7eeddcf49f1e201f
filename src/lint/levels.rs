//! How bad each kind of finding is: by default, by `nixactions.toml`, by the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::source::{Place, Source};
use crate::base::suggest;
use crate::diag::codes::CODES;
use crate::diag::{Code, Diagnostic, Label, Severity};

/// What becomes of findings of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Not reported.
    Allow,
    /// Reported; the exit code stays 0.
    Warn,
    /// An error.
    Deny,
}

/// Codes that are reported only when asked for.
const OFF: [&str; 1] = ["NXA105"];

/// Codes whose level cannot be changed: there is nothing to go on with.
const FIXED: [&str; 5] = ["NXA000", "NXA020", "NXA021", "NXA022", "NXA023"];

/// Why a level cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// There is no such code.
    #[error("there is no code `{name}`{hint}", hint = hint.as_deref().map(|h| format!("; {h}")).unwrap_or_default())]
    Unknown {
        /// What was given.
        name: String,
        /// "did you mean …?"
        hint: Option<String>,
        /// The one name that is near.
        near: Option<&'static str>,
    },
    /// Findings of it always are errors.
    #[error("the level of {0} cannot be changed: a file with such an error cannot be evaluated")]
    Fixed(&'static str),
}

/// The levels that differ from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    set: BTreeMap<&'static str, Level>,
}

/// The code with this number or name, or why there is none.
pub(super) fn code(text: &str) -> Result<&'static Code, LevelError> {
    Code::find(text).ok_or_else(|| {
        let number = text.len() == 6 && text.to_ascii_uppercase().starts_with("NXA");
        let known = CODES.iter().map(|c| if number { c.code } else { c.name });
        let hint = suggest::did_you_mean(text, known.clone()).filter(|_| !number);
        let near = match suggest::nearest(text, known)[..] {
            [only] if !number => Some(only),
            _ => None,
        };
        LevelError::Unknown { name: text.to_owned(), hint, near }
    })
}

impl Levels {
    /// Sets the level of a code, given by its number or name.
    ///
    /// # Errors
    /// When there is no such code, or its level cannot be changed.
    pub fn set(&mut self, name: &str, level: Level) -> Result<(), LevelError> {
        let code = code(name.trim())?;
        if FIXED.contains(&code.code) {
            return Err(LevelError::Fixed(code.code));
        }
        self.set.insert(code.code, level);
        Ok(())
    }

    /// Reads the `[lint]` table of a `nixactions.toml`: lists of codes under `allow`, `warn` and
    /// `deny`.
    ///
    /// # Errors
    /// A finding for everything wrong in the table.
    pub fn read(&mut self, source: &Arc<Source>) -> Result<(), Vec<Diagnostic>> {
        let text = String::from_utf8_lossy(source.text()).into_owned();
        let wrong = |message: String, at: std::ops::Range<usize>, label: &str| {
            let mut d = Diagnostic::error("", message);
            let place = Place { source: source.clone(), start: at.start as u32, end: at.end as u32 };
            d.primary = Some(Label { place, text: label.into() });
            d
        };
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            vec![wrong(format!("not TOML: {}", e.message()), e.span().unwrap_or(0..0), "")]
        })?;
        let Some(lint) = table.get("lint") else { return Ok(()) };
        let Some(lint) = lint.as_table() else {
            return Err(vec![wrong("`lint` must be a table".into(), find(&text, "lint"), "")]);
        };
        let mut found = Vec::new();
        for (key, value) in lint {
            let level = match key.as_str() {
                "allow" => Level::Allow,
                "warn" => Level::Warn,
                "deny" => Level::Deny,
                other => {
                    let help = suggest::did_you_mean(other, ["allow", "warn", "deny"]);
                    let mut d = wrong(format!("`[lint]` has no key `{other}`"), find(&text, other), "");
                    d.help = help.or_else(|| Some("its keys are `allow`, `warn` and `deny`".into()));
                    found.push(d);
                    continue;
                }
            };
            let names: Option<Vec<&str>> =
                value.as_array().and_then(|list| list.iter().map(toml::Value::as_str).collect());
            let Some(names) = names else {
                let message = format!("`{key}` in `[lint]` must be a list of codes");
                found.push(wrong(message, find(&text, key), "not a list of strings"));
                continue;
            };
            for name in names {
                if let Err(e) = self.set(name, level) {
                    found.push(wrong(e.to_string(), find(&text, name), ""));
                }
            }
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// The finding at its level; `None` when it is not to be reported.
    pub fn apply(&self, mut d: Diagnostic) -> Option<Diagnostic> {
        match self.set.get(d.code) {
            Some(Level::Allow) => return None,
            Some(Level::Warn) => d.severity = Severity::Warning,
            Some(Level::Deny) => d.severity = Severity::Error,
            None if OFF.contains(&d.code) => return None,
            None => {}
        }
        Some(d)
    }

    /// Whether the level of a code may be changed.
    pub fn may_change(&self, code: &str) -> bool {
        !FIXED.contains(&code)
    }

    /// Whether findings of a code can come out at all.
    pub fn reports(&self, code: &str) -> bool {
        match self.set.get(code) {
            Some(level) => *level != Level::Allow,
            None => !OFF.contains(&code),
        }
    }
}

/// Where a word stands in a text, for labels: the first time, as a whole word when it can be.
fn find(text: &str, word: &str) -> std::ops::Range<usize> {
    let quoted = text.find(&format!("\"{word}\"")).map(|at| at + 1);
    let at = quoted.or_else(|| text.find(word)).unwrap_or(0);
    at..at + if text[at..].starts_with(word) { word.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SourceName;

    fn read(text: &str) -> Result<Levels, Vec<String>> {
        let source = Source::new(SourceName::Path("/p/nixactions.toml".into()), text.as_bytes().to_vec());
        let mut levels = Levels::default();
        match levels.read(&source) {
            Ok(()) => Ok(levels),
            Err(found) => Err(found.into_iter().map(|d| d.message).collect()),
        }
    }

    #[test]
    fn the_table_is_read() {
        let levels =
            read("[lint]\nallow = [\"unused-argument\"]\ndeny = [\"NXA012\", \"nxa105\"]\n").expect("good");
        assert!(!levels.reports("NXA013"));
        assert!(levels.reports("NXA105") && !Levels::default().reports("NXA105"));
        let d = levels.apply(Diagnostic::warning("NXA012", "x")).expect("reported");
        assert_eq!(d.severity, Severity::Error);
        assert!(read("[run]\nx = 1\n").is_ok());
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(read("[lint]\nalow = []\n").expect_err("bad"), ["`[lint]` has no key `alow`"]);
        assert_eq!(
            read("[lint]\nallow = [\"unused-bindng\"]\n").expect_err("bad"),
            ["there is no code `unused-bindng`; did you mean `unused-binding`?"]
        );
        assert_eq!(
            read("[lint]\nallow = \"NXA012\"\n").expect_err("bad"),
            ["`allow` in `[lint]` must be a list of codes"]
        );
        assert!(read("[lint]\nallow = [\"NXA000\"]\n").expect_err("bad")[0].contains("cannot be changed"));
        assert!(read("lint = [").expect_err("bad")[0].starts_with("not TOML"));
    }
}
