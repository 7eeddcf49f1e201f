//! What the editor sets, from `initializationOptions` and `workspace/didChangeConfiguration`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// In which files anything is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NixFiles {
    /// In workflow files and what they import, so that another server may serve the rest.
    #[default]
    Workflows,
    /// In every Nix file.
    Always,
}

/// Settings of evaluation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evaluation {
    /// Evaluate at all; otherwise only the text is looked at.
    pub enable: bool,
    /// Milliseconds that one evaluation may take.
    pub timeout: u64,
    /// Mebibytes that one evaluation may use.
    pub memory: usize,
}

impl Default for Evaluation {
    fn default() -> Self {
        Evaluation { enable: true, timeout: 2000, memory: 1024 }
    }
}

/// A feature that can be turned off.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// Whether it is on.
    pub enable: bool,
}

impl Default for Switch {
    fn default() -> Self {
        Switch { enable: true }
    }
}

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// In which files anything is answered.
    pub nix_files: NixFiles,
    /// Evaluation.
    pub evaluation: Evaluation,
    /// Where nixpkgs is.
    pub pkgs: Option<PathBuf>,
    /// Program and arguments that format from standard input; by default `nixfmt`.
    pub formatter: Vec<String>,
    /// Inlay hints.
    pub inlay_hints: Switch,
    /// Code lenses.
    pub code_lens: Switch,
    /// What `shellcheck` says of scripts.
    pub shellcheck: Switch,
}

impl Config {
    /// The settings in a value, which may stand below the key `nixactions`; null gives the defaults.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn parse(value: &Value) -> Result<Config, String> {
        let value = value.get("nixactions").unwrap_or(value);
        if value.is_null() {
            return Ok(Config::default());
        }
        // Editors send null for what is not set.
        let mut value = value.clone();
        drop_nulls(&mut value);
        Config::deserialize(value).map_err(|e| format!("settings of nixactions: {e}"))
    }

    /// The time that one evaluation may take.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.evaluation.timeout.clamp(10, 600_000))
    }
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, v| !v.is_null());
        map.values_mut().for_each(drop_nulls);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_may_be_partial_null_or_wrong() {
        let config = Config::parse(&json!({ "nixFiles": "always", "pkgs": null })).expect("valid");
        assert_eq!((config.nix_files, config.pkgs), (NixFiles::Always, None));
        let config =
            Config::parse(&json!({ "nixactions": { "evaluation": { "timeout": 5 } } })).expect("valid");
        assert_eq!((config.evaluation.timeout, config.evaluation.memory), (5, 1024));
        assert_eq!(config.time(), Duration::from_millis(10));
        assert!(Config::parse(&json!({ "nixFiles": 1 })).is_err());
        assert_eq!(Config::parse(&Value::Null), Ok(Config::default()));
    }
}
