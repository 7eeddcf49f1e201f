//! Environment providers: they run on this machine, in order, each seeing what came before.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::dotenv::{self, Dialect};
use super::environment::{Outside, Vars};
use super::event::{EventKind, Name, Scope};
use super::executor::Cancel;
use super::host;
use super::printed;
use super::reporter::Reporter;
use crate::workflow::plan::{Env, Provider};

/// Why providers gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProviderError {
    /// One failed; the message is masked.
    Failed(String),
    /// The run or job is being cancelled.
    Cancelled,
}

/// What all providers of one scope share.
pub(super) struct Providers<'a> {
    pub(super) reporter: &'a Reporter,
    pub(super) outside: &'a Outside,
    pub(super) project: &'a Path,
    pub(super) pure: bool,
    pub(super) cancel: &'a Cancel,
}

impl Providers<'_> {
    /// Runs providers in order; `below` are the layers that they see.
    pub(super) async fn run(
        &self,
        providers: &[Provider],
        below: &[&Env],
        scope: &Scope,
    ) -> Result<Env, ProviderError> {
        let mut found = Env::new();
        for provider in providers {
            let vars = {
                let layers: Vec<&Env> = below.iter().copied().chain([&found]).collect();
                let mut vars = self.outside.compose(self.pure, &layers);
                self.outside.override_in(&mut vars);
                vars
            };
            let got = self.one(provider, &vars).await;
            if let Err(ProviderError::Cancelled) = got {
                return Err(ProviderError::Cancelled);
            }
            let label = describe(provider);
            let masked = |text: &str| self.reporter.mask(text).into_owned();
            let (names, error) = match &got {
                Ok(env) => (env.keys().map(|n| Name::from(n.as_str())).collect(), None),
                Err(ProviderError::Failed(message)) => (Vec::new(), Some(masked(message))),
                Err(ProviderError::Cancelled) => (Vec::new(), None),
            };
            self.reporter.emit(EventKind::Provider {
                scope: scope.clone(),
                provider: masked(&label),
                names,
                error: error.clone(),
            });
            if let Some(error) = error {
                return Err(ProviderError::Failed(format!("provider `{}` failed: {error}", masked(&label))));
            }
            found.extend(got.unwrap_or_default());
        }
        Ok(found)
    }

    async fn one(&self, provider: &Provider, vars: &Vars) -> Result<Env, ProviderError> {
        let fail = |message: String| Err(ProviderError::Failed(message));
        let (assignments, secret) = match provider {
            Provider::Static { env } => return Ok(env.clone()),
            Provider::Required { names } => {
                let missing: Vec<&str> = names
                    .iter()
                    .map(String::as_str)
                    .filter(|name| vars.get(OsStr::new(name)).is_none_or(|value| value.is_empty()))
                    .collect();
                if missing.is_empty() {
                    return Ok(Env::new());
                }
                return fail(format!("not set or empty: {}", missing.join(", ")));
            }
            Provider::File { path, required, secrets } => {
                let file = self.project.join(path);
                let text = match std::fs::read(&file) {
                    Ok(bytes) => bytes,
                    Err(e) if e.kind() == io::ErrorKind::NotFound && !required => return Ok(Env::new()),
                    Err(e) => return fail(format!("cannot read {}: {e}", file.display())),
                };
                (read(&text, Dialect::Dotenv, vars).map_err(ProviderError::Failed)?, *secrets)
            }
            Provider::Program { argv, secrets, printed } => {
                let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
                let done = match host::run(&argv, vars, self.project, self.cancel).await {
                    Ok(done) => done,
                    Err(host::HostError::Cancelled) => return Err(ProviderError::Cancelled),
                    Err(e) => return fail(e.to_string()),
                };
                if !done.status.success() {
                    let stderr = String::from_utf8_lossy(&done.stderr);
                    return fail(format!("{}\n{}", done.status, stderr.trim_end()).trim_end().to_owned());
                }
                let text = std::str::from_utf8(&done.stdout);
                let text = text.map_err(|_| ProviderError::Failed("not UTF-8".to_owned()))?;
                let found = printed::variables(printed, text, &|name| lookup(vars, name));
                (found.map_err(ProviderError::Failed)?, *secrets)
            }
        };
        if secret {
            self.reporter.add_secrets(assignments.iter().map(|(_, value)| value.as_str()));
        }
        Ok(assignments.into_iter().map(|(name, value)| (name, Some(value))).collect())
    }
}

fn read(bytes: &[u8], dialect: Dialect, vars: &Vars) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    dotenv::parse(text, dialect, &|name| lookup(vars, name)).map_err(|e| e.to_string())
}

fn lookup(vars: &Vars, name: &str) -> Option<String> {
    vars.get(OsStr::new(name)).map(|v| v.to_string_lossy().into_owned())
}

/// A provider in a few words, without values.
fn describe(provider: &Provider) -> String {
    match provider {
        Provider::File { path, .. } => format!("file {path}"),
        Provider::Static { env } => format!("static ({} variables)", env.len()),
        Provider::Required { names } => format!("required {}", names.join(" ")),
        Provider::Program { argv, .. } => argv.first().cloned().unwrap_or_default(),
    }
}
