//! Decoding of the parts that workflows, jobs and steps share.
//!
//! The shape check has already reported what is wrong; decoding leaves such parts out.

use std::time::Duration;

use super::model::{EnvValue, Provider, RetryRule, Setting, Spanned, Variable};
use super::plan::{Backoff, Condition};
use super::schema::{self, Table};
use super::shape::place;
use super::tree::{Attr, Kind, Node};
use super::{condition, duration};

/// A set read by its table: names and their other names.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    pub(super) node: &'n Node,
    pub(super) table: &'static Table,
}

impl<'n> Fields<'n> {
    /// The attribute of a key, also when it is null.
    pub(super) fn attr(self, key: &str) -> Option<&'n Attr> {
        let attrs = self.node.attrs()?;
        let key = self.table.keys.iter().find(|k| k.name == key)?;
        key.names().find_map(|n| attrs.iter().find(|a| a.name == n))
    }

    /// The value of a key that is given and not null.
    pub(super) fn get(self, key: &str) -> Option<&'n Node> {
        self.attr(key).map(|a| &a.value).filter(|v| !matches!(v.kind, Kind::Null))
    }

    pub(super) fn text(self, key: &str) -> Option<Spanned<String>> {
        let attr = self.attr(key)?;
        text(&attr.value, attr.key)
    }

    pub(super) fn bool(self, key: &str) -> Option<bool> {
        self.get(key)?.bool()
    }

    pub(super) fn duration(self, key: &str) -> Option<Spanned<Duration>> {
        let attr = self.attr(key)?;
        Some(Spanned::new(duration_of(&attr.value)?, place(&attr.value, attr.key)))
    }

    pub(super) fn timeout(self) -> Setting<Duration> {
        match self.attr("timeout").map(|a| &a.value) {
            None => Setting::Inherit,
            Some(Node { kind: Kind::Null, .. }) => Setting::Off,
            Some(n) => duration_of(n).map_or(Setting::Inherit, Setting::Set),
        }
    }

    pub(super) fn condition(self) -> Option<Spanned<Condition>> {
        let attr = self.attr("condition")?;
        let c = condition::parse(attr.value.text()?).ok()?;
        Some(Spanned::new(c, place(&attr.value, attr.key)))
    }

    pub(super) fn env(self) -> Vec<Variable> {
        self.get("env").map(variables).unwrap_or_default()
    }

    pub(super) fn env_from(self) -> Vec<Provider> {
        let items = self.get("envFrom").and_then(Node::list).unwrap_or_default();
        items.iter().flat_map(super::providers::decode).collect()
    }

    pub(super) fn retry(self) -> Setting<RetryRule> {
        match self.attr("retry") {
            None => Setting::Inherit,
            Some(Attr { value: Node { kind: Kind::Null, .. }, .. }) => Setting::Off,
            Some(a) if a.value.attrs().is_some() => Setting::Set(retry(a)),
            Some(_) => Setting::Inherit,
        }
    }

    /// Words of a command: a list, or a text split at spaces.
    pub(super) fn words(self, key: &str) -> Option<Vec<String>> {
        let node = self.get(key)?;
        let words: Vec<String> = match &node.kind {
            Kind::List(items) => items.iter().filter_map(path_text).collect(),
            _ => node.text()?.split_whitespace().map(str::to_string).collect(),
        };
        (!words.is_empty()).then_some(words)
    }

    pub(super) fn names(self, key: &str) -> Vec<Spanned<String>> {
        let Some(attr) = self.attr(key) else { return Vec::new() };
        match &attr.value.kind {
            Kind::List(items) => items.iter().filter_map(|n| text(n, attr.key)).collect(),
            _ => text(&attr.value, attr.key).into_iter().collect(),
        }
    }
}

/// The text of a node, pointing at the key when the value has no place of its own.
pub(super) fn text(node: &Node, key: crate::base::source::SpanId) -> Option<Spanned<String>> {
    Some(Spanned::new(node.text()?.to_string(), place(node, key)))
}

/// A path or text as text.
pub(super) fn path_text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Path(p) => p.to_str().map(str::to_string),
        Kind::Derivation(d) => d.out_path.clone(),
        _ => node.text().map(str::to_string),
    }
}

fn duration_of(node: &Node) -> Option<Duration> {
    match &node.kind {
        Kind::Int(i) => duration::from_seconds(*i).ok(),
        _ => duration::parse(node.text()?).ok(),
    }
}

/// A float as `builtins.toJSON` writes it.
pub(super) fn float_text(f: f64) -> String {
    let text = serde_json::Number::from_f64(f).map_or("null".into(), |n| n.to_string());
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(e) => ('-', e),
        None => ('+', exponent.trim_start_matches('+')),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

pub(super) fn variables(node: &Node) -> Vec<Variable> {
    let one = |a: &Attr| {
        let value = match &a.value.kind {
            Kind::Null => EnvValue::Unset,
            Kind::Bool(b) => EnvValue::Text(b.to_string()),
            Kind::Int(i) => EnvValue::Text(i.to_string()),
            Kind::Float(f) => EnvValue::Text(float_text(*f)),
            Kind::Attrs(_) => match a.value.tag()? {
                "secret" => EnvValue::Secret(a.value.get("value")?.text()?.to_string()),
                "fromEnv" => EnvValue::FromEnv(a.value.get("name")?.text()?.to_string()),
                _ => return None,
            },
            Kind::Str(_) | Kind::Path(_) => EnvValue::Text(path_text(&a.value)?),
            _ => return None,
        };
        Some(Variable { name: Spanned::new(a.name.clone(), a.key), value })
    };
    node.attrs().unwrap_or_default().iter().filter_map(one).collect()
}

fn retry(attr: &Attr) -> RetryRule {
    let f = Fields { node: &attr.value, table: &schema::RETRY };
    let on = f.get("on").map(|on| {
        let items = on.list().unwrap_or(std::slice::from_ref(on));
        let codes = items.iter().filter_map(|n| i32::try_from(n.int()?).ok()).collect();
        (codes, items.iter().any(|n| n.text() == Some("timeout")))
    });
    RetryRule {
        max_attempts: f
            .get("max_attempts")
            .and_then(Node::int)
            .map(|n| u32::try_from(n.max(1)).unwrap_or(u32::MAX)),
        backoff: f.get("backoff").and_then(Node::text).and_then(|b| match b {
            "exponential" => Some(Backoff::Exponential),
            "linear" => Some(Backoff::Linear),
            "constant" => Some(Backoff::Constant),
            _ => None,
        }),
        min_time: f.duration("min_time").map(|d| d.value),
        max_time: f.duration("max_time").map(|d| d.value),
        jitter: f.get("jitter").and_then(|n| match n.kind {
            Kind::Bool(b) => Some(f64::from(u8::from(b))),
            Kind::Int(i) => Some(i as f64),
            Kind::Float(x) => Some(x),
            _ => None,
        }),
        on,
        whole_job: f.get("scope").and_then(Node::text).map(|s| s == "job"),
        span: place(&attr.value, attr.key),
    }
}

/// A command that runs the one program of a package.
pub(super) fn only_program(out: &str) -> Vec<String> {
    let script = "set -- \"$1\"/bin/*\n[[ $# -eq 1 && -x $1 ]] || { echo \"the package must have one program in bin/\" >&2; exit 127; }\nexec \"$1\"";
    ["bash", "-c", script, "bash", out].iter().map(|s| s.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_nix_writes_them() {
        assert_eq!(float_text(1.5), "1.5");
        assert_eq!(float_text(1.0), "1.0");
        assert_eq!(float_text(1e100), "1e+100");
        assert_eq!(float_text(1e-7), "1e-07");
    }
}
