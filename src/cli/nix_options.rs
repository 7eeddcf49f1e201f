//! Options of evaluation that have Nix's names and meanings, from the command line, `NIX_CONFIG` and
//! `NIX_PATH`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::error::CliError;
use super::nix_settings;
use crate::eval::{Limits, Settings};
use crate::syntax::{Lint, Lints};

/// What steers evaluation.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Evaluation")]
pub(super) struct NixOptions {
    /// Add an entry to the search path of `<name>`
    #[arg(short = 'I', long = "include", value_name = "PATH")]
    pub(super) include: Vec<String>,
    /// Pass an argument, a Nix expression, to functions
    #[arg(long, num_args = 2, value_names = ["NAME", "EXPR"], allow_hyphen_values = true)]
    pub(super) arg: Vec<String>,
    /// Pass a string to functions
    #[arg(long, num_args = 2, value_names = ["NAME", "STRING"], allow_hyphen_values = true)]
    pub(super) argstr: Vec<String>,
    /// Set an option of Nix
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], allow_hyphen_values = true)]
    pub(super) option: Vec<String>,
    /// Experimental features to enable, instead of those set before
    #[arg(long, value_name = "FEATURES")]
    pub(super) experimental_features: Option<String>,
    /// Further experimental features to enable
    #[arg(long, value_name = "FEATURES")]
    pub(super) extra_experimental_features: Vec<String>,
    /// Refuse the environment, the clock, and paths that have no fixed content
    #[arg(long, overrides_with = "impure")]
    pub(super) pure_eval: bool,
    /// Allow what `--pure-eval` refuses
    #[arg(long, overrides_with = "pure_eval")]
    pub(super) impure: bool,
    /// Show every call on the way to an error
    #[arg(long, overrides_with = "no_show_trace")]
    pub(super) show_trace: bool,
    /// Show only the first calls on the way to an error
    #[arg(long, hide = true, overrides_with = "show_trace")]
    pub(super) no_show_trace: bool,
    /// Nested calls that evaluation may reach
    #[arg(long, value_name = "N")]
    pub(super) max_call_depth: Option<u32>,
    /// Memory that evaluation may take, as `512M` or `2G`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) max_heap_size: Option<usize>,
    /// Time that evaluation may take, as `30s` or `5m`
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) max_eval_time: Option<Duration>,
    /// What to do about URLs without quotes: ignore, warn or fatal
    #[arg(long, value_name = "WHAT", value_parser = lint)]
    pub(super) lint_url_literals: Option<Lint>,
    /// What to do about path literals that begin with `/` or `~/`
    #[arg(long, value_name = "WHAT", value_parser = lint)]
    pub(super) lint_absolute_path_literals: Option<Lint>,
    /// What to do about path literals without `./`
    #[arg(long, value_name = "WHAT", value_parser = lint)]
    pub(super) lint_short_path_literals: Option<Lint>,
    /// Print what `builtins.traceVerbose` is given
    #[arg(long)]
    pub(super) trace_verbose: bool,
    /// The system that evaluation takes this machine for
    #[arg(long, visible_alias = "eval-system", value_name = "SYSTEM")]
    pub(super) system: Option<String>,
}

/// An argument for functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// A Nix expression.
    Expr(String),
    /// A string.
    Str(String),
}

/// Experimental features that Nix knows.
const FEATURES: &[&str] = &[
    "auto-allocate-uids",
    "blake3-hashes",
    "build-time-fetch-tree",
    "ca-derivations",
    "cgroups",
    "configurable-impure-env",
    "daemon-trust-override",
    "dynamic-derivations",
    "external-builders",
    "fetch-closure",
    "fetch-tree",
    "flakes",
    "git-hashing",
    "impure-derivations",
    "local-overlay-store",
    "mounted-ssh-store",
    "nix-command",
    "no-url-literals",
    "parallel-eval",
    "parse-toml-timestamps",
    "pipe-operators",
    "read-only-local-store",
    "recursive-nix",
    "verified-fetches",
];

/// The settings as they are put together, with the warnings that came up.
pub(super) struct Resolved {
    /// For the evaluator.
    pub(super) settings: Settings,
    /// Show every call on the way to an error.
    pub(super) show_trace: bool,
    /// Whether results of earlier evaluations may be used.
    pub(super) eval_cache: bool,
    /// Warnings, without the word.
    pub(super) warnings: Vec<String>,
}

impl NixOptions {
    /// The arguments for functions, in order.
    pub(super) fn arguments(&self) -> Vec<(String, Argument)> {
        let pairs = |list: &[String], make: fn(String) -> Argument| {
            list.chunks_exact(2).map(|p| (p[0].clone(), make(p[1].clone()))).collect::<Vec<_>>()
        };
        let mut all = pairs(&self.arg, Argument::Expr);
        all.extend(pairs(&self.argstr, Argument::Str));
        all
    }

    /// Puts the settings together: `NIX_CONFIG`, then `--option`, then the options of their own.
    pub(super) fn resolve(&self) -> Result<Resolved, CliError> {
        let mut resolved =
            Resolved { settings: defaults(), show_trace: false, eval_cache: true, warnings: Vec::new() };
        let mut nix_path = std::env::var("NIX_PATH").ok();
        if let Ok(config) = std::env::var("NIX_CONFIG") {
            for (name, value) in parse_config(&config)? {
                resolved.set(&name, &value, &mut nix_path)?;
            }
        }
        for pair in self.option.chunks_exact(2) {
            resolved.set(&pair[0], &pair[1], &mut nix_path)?;
        }
        if let Some(features) = &self.experimental_features {
            resolved.set("experimental-features", features, &mut nix_path)?;
        }
        for features in &self.extra_experimental_features {
            resolved.set("extra-experimental-features", features, &mut nix_path)?;
        }
        let settings = &mut resolved.settings;
        settings.pure_eval = (settings.pure_eval || self.pure_eval) && !self.impure;
        settings.trace_verbose |= self.trace_verbose;
        settings.limits.call_depth = self.max_call_depth.unwrap_or(settings.limits.call_depth);
        if let Some(system) = &self.system {
            settings.system.clone_from(system);
        }
        settings.limits.heap = self.max_heap_size.or(settings.limits.heap);
        settings.limits.time = self.max_eval_time.or(settings.limits.time);
        let lints = &mut settings.lints;
        lints.urls = self.lint_url_literals.unwrap_or(lints.urls);
        lints.absolute_paths = self.lint_absolute_path_literals.unwrap_or(lints.absolute_paths);
        lints.short_paths = self.lint_short_path_literals.unwrap_or(lints.short_paths);
        resolved.show_trace = (resolved.show_trace || self.show_trace) && !self.no_show_trace;
        settings.search_path = self.include.iter().map(|e| search_entry(e)).collect();
        if !settings.pure_eval {
            let entries = split_nix_path(nix_path.as_deref().unwrap_or(""));
            settings.search_path.extend(entries.iter().map(|e| search_entry(e)));
        }
        Ok(resolved)
    }
}

impl Resolved {
    fn set(&mut self, name: &str, value: &str, nix_path: &mut Option<String>) -> Result<(), CliError> {
        let settings = &mut self.settings;
        match name {
            "experimental-features" | "extra-experimental-features" => {
                if name == "experimental-features" {
                    settings.features.clear();
                }
                for feature in value.split_whitespace() {
                    if !FEATURES.contains(&feature) {
                        self.warnings.push(format!("unknown experimental feature '{feature}'"));
                    } else if !settings.feature(feature) {
                        settings.features.push(feature.to_owned());
                    }
                }
            }
            "pure-eval" => settings.pure_eval = boolean(name, value)?,
            "trace-verbose" => settings.trace_verbose = boolean(name, value)?,
            "abort-on-warn" => settings.abort_on_warn = boolean(name, value)?,
            "eval-cache" => self.eval_cache = boolean(name, value)?,
            "show-trace" => self.show_trace = boolean(name, value)?,
            "system" | "eval-system" if !value.is_empty() => settings.system = value.to_owned(),
            "max-call-depth" => {
                settings.limits.call_depth = value.trim().parse().map_err(|_| {
                    CliError::Nix(format!("error: setting '{name}' has invalid value '{value}'"))
                })?;
            }
            "lint-url-literals" => settings.lints.urls = lint_setting(name, value)?,
            "lint-absolute-path-literals" => settings.lints.absolute_paths = lint_setting(name, value)?,
            "lint-short-path-literals" => settings.lints.short_paths = lint_setting(name, value)?,
            "warn-short-path-literals" => {
                settings.lints.short_paths = if boolean(name, value)? { Lint::Warn } else { Lint::Ignore };
            }
            "nix-path" => *nix_path = Some(value.split_whitespace().collect::<Vec<_>>().join(":")),
            "extra-nix-path" => {
                let before = nix_path.take().unwrap_or_default();
                let more = value.split_whitespace().collect::<Vec<_>>().join(":");
                *nix_path =
                    Some([before, more].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(":"));
            }
            other if nix_settings::NAMES.contains(&other.strip_prefix("extra-").unwrap_or(other)) => {}
            other => self.warnings.push(format!("unknown setting '{other}'")),
        }
        Ok(())
    }
}

fn defaults() -> Settings {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let set = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    Settings {
        system: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        store_dir: set("NIX_STORE_DIR").unwrap_or_else(|| "/nix/store".into()),
        search_path: Vec::new(),
        features: Vec::new(),
        pure_eval: false,
        trace_verbose: false,
        lints: Lints::default(),
        abort_on_warn: set("NIX_ABORT_ON_WARN").is_some(),
        home: set("HOME").map(PathBuf::from),
        now,
        limits: Limits::default(),
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, CliError> {
    match value {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(CliError::Nix(format!("error: Boolean setting '{name}' has invalid value '{value}'"))),
    }
}

fn lint(word: &str) -> Result<Lint, String> {
    match word {
        "ignore" => Ok(Lint::Ignore),
        "warn" => Ok(Lint::Warn),
        "fatal" => Ok(Lint::Fatal),
        _ => Err("`ignore`, `warn` or `fatal` is expected".into()),
    }
}

fn lint_setting(name: &str, value: &str) -> Result<Lint, CliError> {
    lint(value).map_err(|_| {
        CliError::Nix(format!(
            "error: option '{name}' has invalid value '{value}', expected 'ignore', 'warn', or 'fatal'"
        ))
    })
}

/// Bytes, of a number that `K`, `M` or `G` may follow.
fn size(text: &str) -> Result<usize, String> {
    let expected = || "a number of bytes is expected, as `512M` or `2G`".to_owned();
    let (number, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: usize = number.parse().map_err(|_| expected())?;
    number.checked_mul(1 << shift).filter(|&n| n > 0).ok_or_else(expected)
}

/// A time, of a number that `ms`, `s`, `m` or `h` follows; seconds without.
fn time(text: &str) -> Result<Duration, String> {
    let expected = || "a time is expected, as `500ms`, `30s`, `5m` or `1h`".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let factor = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    number.checked_mul(factor).filter(|&ms| ms > 0).map(Duration::from_millis).ok_or_else(expected)
}

/// The settings in a text of the form of `nix.conf`.
fn parse_config(text: &str) -> Result<Vec<(String, String)>, CliError> {
    let mut settings = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [name, "=", value @ ..] => settings.push(((*name).to_owned(), value.join(" "))),
            _ => {
                let line = line.trim();
                return Err(CliError::Nix(format!(
                    "error: syntax error in configuration line '{line}' in 'NIX_CONFIG'"
                )));
            }
        }
    }
    Ok(settings)
}

fn search_entry(entry: &str) -> (String, String) {
    match entry.split_once('=') {
        Some((prefix, path)) => (prefix.to_owned(), path.to_owned()),
        None => (String::new(), entry.to_owned()),
    }
}

/// The entries of `NIX_PATH`; a colon that belongs to a URL does not separate.
fn split_nix_path(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(':') {
        current.push_str(before);
        let value = current.rsplit('=').next().unwrap_or_default();
        if after.starts_with("//") || value == "flake" || value == "channel" {
            current.push(':');
        } else {
            entries.push(std::mem::take(&mut current));
        }
        rest = after;
    }
    current.push_str(rest);
    entries.push(current);
    entries.retain(|e| !e.is_empty());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_path_splits_at_colons_outside_of_urls() {
        let entries = split_nix_path("nixpkgs=/a:/b:x=https://h/y.tar.gz:n=flake:nixpkgs:/c");
        assert_eq!(entries, ["nixpkgs=/a", "/b", "x=https://h/y.tar.gz", "n=flake:nixpkgs", "/c"]);
        assert_eq!(search_entry("nixpkgs=/a=b"), ("nixpkgs".into(), "/a=b".into()));
    }

    #[test]
    fn limits_have_units() {
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("700"), Ok(700));
        assert!(size("0").is_err() && size("M").is_err() && size("99999999999999G").is_err());
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(time("7"), Ok(Duration::from_secs(7)));
        assert!(time("5 m").is_err() && time("x").is_err() && time("0").is_err());
    }

    #[test]
    fn configuration_has_comments_and_errors() {
        let config =
            parse_config("# first\nshow-trace = true # why\n\nexperimental-features = flakes  nix-command\n");
        let config = config.expect("well formed");
        assert_eq!(config[1], ("experimental-features".into(), "flakes nix-command".into()));
        assert!(parse_config("show-trace true").is_err());
    }
}
