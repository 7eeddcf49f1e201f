//! The builds of one request, from what the daemon tells: which runs, what it printed last.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use super::needs::package_name;
use crate::drv::store_path::{StoreDir, StorePath};
use crate::engine::event::PackageState;
use crate::engine::packages::{News, Report};
use crate::store::{Activity, Message};

/// Lines of a log that are shown when its build has failed.
const LAST_LINES: usize = 20;

/// A build or fetch that goes on.
struct Running {
    path: StorePath,
    is_build: bool,
    since: Instant,
}

/// An activity that has ended.
pub(super) struct Ended {
    /// The derivation that was built, or the path that was fetched.
    pub(super) path: StorePath,
    pub(super) is_build: bool,
    pub(super) took_us: u64,
}

/// What is known of the builds.
pub(super) struct Builds {
    dir: StoreDir,
    report: Report,
    running: HashMap<u64, Running>,
    /// The last lines that each build printed.
    logs: BTreeMap<StorePath, VecDeque<String>>,
    /// Errors that the daemon told on the way, each beginning with `error: `.
    errors: Vec<String>,
}

impl Builds {
    pub(super) fn new(dir: StoreDir, report: Report) -> Builds {
        Builds { dir, report, running: HashMap::new(), logs: BTreeMap::new(), errors: Vec::new() }
    }

    /// Takes what the daemon tells; what ended, if that is it.
    pub(super) fn message(&mut self, message: Message) -> Option<Ended> {
        match message {
            Message::Line(line) => {
                if let Some(error) = line.strip_prefix("error: ") {
                    self.errors.push(error.to_owned());
                }
                None
            }
            Message::Started { id, kind, fields, .. } => {
                let is_build = kind == Activity::Build;
                if !is_build && kind != Activity::Substitute {
                    return None;
                }
                let path = self.dir.parse(fields.first()?.text()?.as_bytes()).ok()?;
                let state = if is_build { PackageState::Building } else { PackageState::Fetching };
                (self.report)(News::State { package: package_name(&path), state });
                if is_build {
                    self.logs.insert(path.clone(), VecDeque::new());
                }
                self.running.insert(id, Running { path, is_build, since: Instant::now() });
                None
            }
            Message::Stopped { id } => {
                let ended = self.running.remove(&id)?;
                let took_us = ended.since.elapsed().as_micros() as u64;
                Some(Ended { path: ended.path, is_build: ended.is_build, took_us })
            }
            Message::LogLine { id, line } => {
                let running = self.running.get(&id)?;
                if let Some(log) = self.logs.get_mut(&running.path) {
                    if log.len() == LAST_LINES {
                        log.pop_front();
                    }
                    log.push_back(line.clone());
                }
                (self.report)(News::Log { package: package_name(&running.path), line });
                None
            }
        }
    }

    /// Whether a derivation was built in this request, successfully or not.
    pub(super) fn was_built(&self, drv: &StorePath) -> bool {
        self.logs.contains_key(drv)
    }

    /// Why the build of a derivation failed, with the end of its log. `message` is what the daemon
    /// answered, if it answered anything about this one.
    pub(super) fn failure(&self, drv: &StorePath, message: Option<&str>) -> String {
        let printed = self.dir.print(drv);
        let told = self.errors.iter().find(|e| e.contains(&printed)).map(String::as_str);
        let message = message.or(told).unwrap_or("the build failed");
        let mut text = reason(message, &printed);
        let log = self.logs.get(drv).filter(|log| !log.is_empty());
        match log {
            None => {}
            Some(log) if log.len() < LAST_LINES => text.push_str("\nits log:"),
            Some(log) => text.push_str(&format!("\nthe last {} lines of its log:", log.len())),
        }
        for line in log.into_iter().flatten() {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }
}

/// The daemon's words without what is shown anyway: the derivation, its outputs, the log, and how to see it.
/// Nix 2.8 writes one sentence, Nix 2.34 a line with the derivation, one with the reason, and the outputs.
fn reason(message: &str, drv: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let end_of_log = |line: &str| {
        let line = line.to_lowercase();
        line.contains("last ") && line.trim_end().ends_with("log lines:")
    };
    let whose = format!("Cannot build '{drv}'.");
    // As it is printed, what follows the first line is indented.
    let rest = message.lines().skip(1).filter(|line| !line.trim().is_empty());
    let depth = |line: &str| line.len() - line.trim_start().len();
    let indent = if message.starts_with(&whose) { rest.map(depth).min().unwrap_or(0) } else { 0 };
    let lines = message.lines().map(|line| line.get(indent.min(depth(line))..).unwrap_or(line));
    let kept: Vec<&str> = lines
        .take_while(|line| !end_of_log(line) && *line != "Output paths:")
        .filter(|line| *line != whose && !line.trim_start().starts_with("For full logs, run"))
        .map(|line| line.strip_prefix("Reason: ").unwrap_or(line))
        .collect();
    let text = kept.join("\n");
    let text = text.trim_end().trim_end_matches(';').trim_end();
    let builder = text.strip_prefix(&format!("builder for '{drv}' ")).or(text.strip_prefix("builder "));
    match builder {
        Some(rest) => format!("its builder {}", rest.trim_end_matches('.')),
        None if text.is_empty() => "the build failed".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short() {
        let drv = "/nix/store/x.drv";
        let old = "builder for '/nix/store/x.drv' failed with exit code 3;\n       last 1 log lines:\n       > a\n       For full logs, run 'nix log /nix/store/x.drv'.";
        assert_eq!(reason(old, drv), "its builder failed with exit code 3");
        let new = "Cannot build '/nix/store/x.drv'.\nReason: builder failed with exit code 3.\nOutput paths:\n  /nix/store/y\nLast 1 log lines:\n> a";
        assert_eq!(reason(new, drv), "its builder failed with exit code 3");
        let printed = new.replace('\n', "\n       ");
        assert_eq!(reason(&printed, drv), "its builder failed with exit code 3");
        assert_eq!(reason("", drv), "the build failed");
        let hash =
            "hash mismatch in fixed-output derivation '/nix/store/x.drv':\n  specified: a\n     got: b";
        assert_eq!(reason(hash, drv), hash);
    }
}
