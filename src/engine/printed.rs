//! What a provider's program prints, as variables.

use serde_json::Value;

use super::dotenv::{self, Dialect, is_name};
use crate::workflow::plan::Printed;

/// The variables in what was printed. `lookup` gives values that a dotenv text may refer to.
pub(super) fn variables(
    printed: &Printed,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, String> {
    if let Some(name) = &printed.variable {
        return Ok(vec![(name.clone(), text.strip_suffix('\n').unwrap_or(text).to_owned())]);
    }
    let dotenv = |dialect| dotenv::parse(text, dialect, lookup).map_err(|e| e.to_string());
    let found = match printed.form.as_str() {
        "exports" => dotenv(Dialect::Shell)?,
        "dotenv" => dotenv(Dialect::Dotenv)?,
        "json" | "bitwarden" => return json(printed, text),
        "text" => return Err("no name was given for what it prints; set `variable`".to_owned()),
        form => return Err(format!("`{form}` is no form that is known")),
    };
    if printed.fields.is_empty() {
        return Ok(found);
    }
    pick(printed, &found)
}

fn json(printed: &Printed, text: &str) -> Result<Vec<(String, String)>, String> {
    // The text may hold secrets, so the error does not repeat it.
    let whole: Value = serde_json::from_str(text)
        .map_err(|e| format!("what it printed is not JSON (line {}, column {})", e.line(), e.column()))?;
    let mut value = &whole;
    for part in &printed.path {
        value = value.get(part).ok_or_else(|| format!("what it printed has no `{part}`"))?;
    }
    let pairs = match printed.form.as_str() {
        "bitwarden" => bitwarden(value),
        _ => pairs(value)?,
    };
    if printed.fields.is_empty() {
        return Ok(pairs.into_iter().map(|(key, value)| (name_of(&key), value)).collect());
    }
    pick(printed, &pairs)
}

fn pick(printed: &Printed, pairs: &[(String, String)]) -> Result<Vec<(String, String)>, String> {
    let wanted = printed.fields.iter().map(|(name, key)| {
        let found = pairs.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| (name.clone(), value.clone())).ok_or_else(|| {
            let keys: Vec<&str> = pairs.iter().map(|(k, _)| k.as_str()).collect();
            format!("there is no `{key}`; there are {}", keys.join(", "))
        })
    });
    wanted.collect()
}

/// Keys and values of an object, or of a list of objects with `key`, `label` or `name`, and `value`.
fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    match value {
        Value::Object(members) => {
            Ok(members.iter().filter_map(|(key, value)| Some((key.clone(), scalar(value)?))).collect())
        }
        Value::Array(items) => Ok(items
            .iter()
            .filter_map(|item| {
                let key = ["key", "label", "name", "id"].iter().find_map(|k| item.get(k)?.as_str())?;
                Some((key.to_owned(), scalar(item.get("value")?)?))
            })
            .collect()),
        _ => {
            Err("what it printed is neither an object nor a list; set `variable` to take it whole".to_owned())
        }
    }
}

/// An item of the password manager: its login, its notes and its own fields.
fn bitwarden(item: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |key: &str, value: Option<&Value>| {
        found.extend(value.and_then(scalar).map(|value| (key.to_owned(), value)));
    };
    let login = item.get("login");
    for key in ["username", "password", "totp"] {
        add(key, login.and_then(|login| login.get(key)));
    }
    add("notes", item.get("notes"));
    for field in item.get("fields").and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = field.get("name").and_then(Value::as_str) {
            add(name, field.get("value"));
        }
    }
    found
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// A key as the name of a variable: itself, or in upper case with `_` for what cannot stand in one.
fn name_of(key: &str) -> String {
    if is_name(key) {
        return key.to_owned();
    }
    let name = super::environment::variable_part(key);
    if is_name(&name) { name } else { format!("_{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: &str, path: &[&str], fields: &[(&str, &str)], text: &str) -> Result<String, String> {
        let printed = Printed {
            form: form.into(),
            path: path.iter().map(|p| (*p).to_owned()).collect(),
            fields: fields.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect(),
            variable: None,
        };
        let found = variables(&printed, text, &|_| None)?;
        Ok(found.iter().map(|(n, v)| format!("{n}={v};")).collect())
    }

    #[test]
    fn json_becomes_variables() {
        let vault = r#"{"data":{"data":{"db-password":"p","PORT":5432,"none":null}}}"#;
        assert_eq!(of("json", &["data", "data"], &[], vault).unwrap(), "DB_PASSWORD=p;PORT=5432;");
        assert_eq!(of("json", &["data", "data"], &[("P", "db-password")], vault).unwrap(), "P=p;");
        let op = r#"{"fields":[{"id":"x","label":"api key","value":"k"},{"label":"empty"}]}"#;
        assert_eq!(of("json", &["fields"], &[], op).unwrap(), "API_KEY=k;");
        let bw = r#"{"login":{"username":"u","password":"p"},"fields":[{"name":"T","value":"t"}]}"#;
        assert_eq!(of("bitwarden", &[], &[("U", "username"), ("T", "T")], bw).unwrap(), "T=t;U=u;");
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_secret_repeated() {
        let error = of("json", &[], &[("P", "nope")], r#"{"a":"secret"}"#).unwrap_err();
        assert_eq!(error, "there is no `nope`; there are a");
        let error = of("json", &[], &[], "secret text").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert!(of("json", &["data"], &[], "{}").unwrap_err().contains("no `data`"));
    }
}
