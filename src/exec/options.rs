//! Options of executors as a plan holds them, read with their types.

use serde_json::{Map, Value};

use crate::engine::executor::{ExecError, Workspace};
use crate::workflow::schema;

/// The options of one executor.
pub(super) struct Options<'a> {
    executor: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    /// The options of a workspace's executor.
    pub(super) fn of(workspace: &'a Workspace) -> Options<'a> {
        Options { executor: &workspace.executor.name, map: &workspace.executor.options }
    }

    /// An error about an option.
    pub(super) fn wrong(&self, name: &str, must: &str) -> ExecError {
        let found = self.map.get(name).map(Value::to_string).unwrap_or_else(|| "missing".into());
        ExecError::infrastructure(format!(
            "executor `{}`: {name} is {found}, but must be {must}",
            self.executor
        ))
    }

    /// An option that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ExecError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, ExecError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| self.wrong(name, "given"))
    }

    /// A boolean.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ExecError> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A number within bounds.
    pub(super) fn number(&self, name: &str, default: u64, least: u64, most: u64) -> Result<u64, ExecError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.as_u64() {
                Some(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(self.wrong(name, &format!("a number from {least} to {most}"))),
            },
        }
    }

    /// One of some words.
    pub(super) fn word(&self, name: &str, words: &[&'static str]) -> Result<&'static str, ExecError> {
        match self.text(name)? {
            None => Ok(words[0]),
            Some(text) => words
                .iter()
                .find(|word| **word == schema::newer_word(text, words).unwrap_or(text))
                .copied()
                .ok_or_else(|| self.wrong(name, &format!("one of {}", words.join(", ")))),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, ExecError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().ok_or_else(|| self.wrong(name, "a list of texts")))
                .collect(),
            Some(_) => Err(self.wrong(name, "a list of texts")),
        }
    }

    /// A set of texts, numbers or booleans, each as a text.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(&'a str, String)>, ExecError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => Ok((key.as_str(), text.clone())),
                    Value::Number(number) => Ok((key.as_str(), number.to_string())),
                    Value::Bool(flag) => Ok((key.as_str(), flag.to_string())),
                    _ => Err(self.wrong(name, "a set of texts")),
                })
                .collect(),
            Some(_) => Err(self.wrong(name, "a set of texts")),
        }
    }
}
