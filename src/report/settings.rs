//! Which report a run gets: format, level, colour.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use super::grouped::Grouped;
use super::json::Json;
use super::lines::Lines;
use super::live::Live;
use super::simple::Simple;
use super::structured::Structured;
use crate::engine::event::{EventSink, Level};

/// Form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line an event, with time, workflow, job and step.
    Structured,
    /// A JSON object an event.
    Json,
    /// A line an event, with job and step only.
    Simple,
    /// The lines of a job together, as soon as their turn comes.
    Grouped,
    /// Progress that redraws itself, for a terminal.
    Live,
}

/// Names of the formats, as a user writes them.
const FORMATS: [(&str, Format); 5] = [
    ("structured", Format::Structured),
    ("json", Format::Json),
    ("simple", Format::Simple),
    ("grouped", Format::Grouped),
    ("live", Format::Live),
];

/// Names of the levels, as a user writes them.
const LEVELS: [(&str, Level); 5] = [
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warning", Level::Warning),
    ("warn", Level::Warning),
    ("error", Level::Error),
];

/// A format or level that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no log {what}; there are {known}")]
pub struct UnknownSetting {
    what: &'static str,
    given: String,
    known: String,
}

fn find<T: Copy>(what: &'static str, known: &[(&str, T)], given: &str) -> Result<T, UnknownSetting> {
    known.iter().find(|(name, _)| name.eq_ignore_ascii_case(given)).map(|(_, value)| *value).ok_or_else(
        || {
            let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            UnknownSetting { what, given: given.to_owned(), known: known.join(", ") }
        },
    )
}

impl Format {
    /// The format of a name.
    pub fn parse(name: &str) -> Result<Format, UnknownSetting> {
        find("format", &FORMATS, name)
    }

    /// The format to use: the first given of the option, `$NIXACTIONS_LOG_FORMAT` and the workflow's
    /// own; else live on a terminal that can redraw, and structured elsewhere.
    pub fn choose(
        option: Option<&str>,
        environment: Option<&str>,
        workflow: Option<&str>,
        terminal: bool,
    ) -> Result<Format, UnknownSetting> {
        match option.or(environment.filter(|name| !name.is_empty())).or(workflow) {
            Some(name) => Format::parse(name),
            None if terminal && std::env::var_os("TERM").is_some_and(|term| term != "dumb") => {
                Ok(Format::Live)
            }
            None => Ok(Format::Structured),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMATS.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name))
    }
}

/// The level of a name.
pub fn parse_level(name: &str) -> Result<Level, UnknownSetting> {
    find("level", &LEVELS, name)
}

/// What a reporter is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Form.
    pub format: Format,
    /// Least important lines to show; what steps print counts as [`Level::Info`]. JSON holds all
    /// events whatever the level.
    pub level: Level,
    /// Whether escape sequences for colour may be written.
    pub color: bool,
    /// Whether GitHub Actions reads the log, so that it can fold groups.
    pub on_github: bool,
}

impl Settings {
    /// Whether colours are wanted: on a terminal, unless `NO_COLOR` is set and not empty.
    pub fn wants_color(terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }
}

/// A sink that renders events to `out`. Dropping it writes out what is left.
pub fn reporter(settings: Settings, out: Box<dyn Write + Send>) -> Arc<dyn EventSink> {
    match settings.format {
        Format::Structured => Arc::new(Lines::new(Structured::default(), settings, out)),
        Format::Simple => Arc::new(Lines::new(Simple, settings, out)),
        Format::Json => Arc::new(Json::new(out)),
        Format::Grouped => Arc::new(Grouped::new(settings, out)),
        Format::Live => Arc::new(Live::new(settings, out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_beats_the_environment_beats_the_workflow() {
        let choose = |a, b, c| Format::choose(a, b, c, false).unwrap();
        assert_eq!(choose(Some("json"), Some("simple"), Some("live")), Format::Json);
        assert_eq!(choose(None, Some("simple"), Some("live")), Format::Simple);
        assert_eq!(choose(None, Some(""), Some("LIVE")), Format::Live);
        assert_eq!(choose(None, None, None), Format::Structured);
        let error = Format::parse("xml").unwrap_err().to_string();
        assert_eq!(error, "`xml` is no log format; there are structured, json, simple, grouped, live");
        assert_eq!(parse_level("warn"), Ok(Level::Warning));
        assert_eq!(Format::Live.to_string(), "live");
    }
}
