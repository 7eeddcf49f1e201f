//! Decoding of what a workflow has beyond steps: matrix limits, caches, services, limits, webhooks.

use super::fields::{Fields, path_text, text, variables};
use super::model::{EnvValue, Reference, Service, Spanned, Webhook};
use super::plan::{Cache, Concurrency, Resources};
use super::schema;
use super::shape::place;
use super::tree::{Attr, Kind, Node};
use crate::diag::Diagnostic;

/// Names and what they refer to.
pub(super) fn references(f: Fields<'_>) -> Vec<Reference> {
    let one =
        |a: &Attr| Some(Reference { name: Spanned::new(a.name.clone(), a.key), to: text(&a.value, a.key)? });
    f.get("results").and_then(Node::attrs).unwrap_or_default().iter().filter_map(one).collect()
}

/// The concurrency rule of a workflow.
pub(super) fn concurrency(f: Fields<'_>) -> Option<Concurrency> {
    let c = Fields { node: f.get("concurrency")?, table: &schema::CONCURRENCY };
    Some(Concurrency {
        group: c.text("group")?.value,
        cancel_in_progress: c.bool("cancelInProgress").unwrap_or(false),
    })
}

/// The webhooks of a workflow.
pub(super) fn webhooks(f: Fields<'_>) -> Vec<Webhook> {
    let one = |node: &Node| {
        let w = Fields { node, table: &schema::NOTIFY };
        let attr = w.attr("url")?;
        let url = Node::new(attr.value.span, Kind::Attrs(vec![attr.clone()]));
        let value = variables(&url).pop()?.value;
        let mut on: Vec<String> = w.names("on").into_iter().map(|n| n.value).collect();
        if on.is_empty() {
            on.push("failure".into());
        }
        Some(Webhook {
            url: Spanned::new(value, place(&attr.value, attr.key)),
            on,
            headers: w.get("headers").map(variables).unwrap_or_default(),
            body: w.get("body").map(Node::to_json),
        })
    };
    f.get("notify").and_then(Node::list).unwrap_or_default().iter().filter_map(one).collect()
}

/// The caches of a job.
pub(super) fn caches(f: Fields<'_>) -> Vec<Spanned<Cache>> {
    let Some(attr) = f.attr("cache") else { return Vec::new() };
    let one = |node: &Node| {
        let c = Fields { node, table: &schema::CACHE };
        let paths = c.get("paths").and_then(Node::list).unwrap_or_default();
        let cache = Cache {
            key: c.text("key")?.value,
            paths: paths.iter().filter_map(path_text).collect(),
            restore_keys: c.names("restoreKeys").into_iter().map(|k| k.value).collect(),
        };
        Some(Spanned::new(cache, place(node, attr.key)))
    };
    attr.value.list().unwrap_or_default().iter().filter_map(one).collect()
}

/// The globs of `skipIfUnchanged`.
pub(super) fn skip_if_unchanged(f: Fields<'_>) -> Option<Spanned<Vec<String>>> {
    let attr = f.attr("skipIfUnchanged")?;
    let globs = attr.value.get("inputs")?.list()?;
    Some(Spanned::new(globs.iter().filter_map(path_text).collect(), place(&attr.value, attr.key)))
}

/// The limits of a job; what cannot be read goes to `out`.
pub(super) fn resources(f: Fields<'_>, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<Resources>> {
    let attr = f.attr("resources")?;
    let r = Fields { node: &attr.value, table: &schema::RESOURCES };
    attr.value.attrs()?;
    let mut read = |key: &str, parse: fn(&str) -> Option<u64>, forms: &str| {
        let a = r.attr(key)?;
        let text = match &a.value.kind {
            Kind::Int(i) => i.to_string(),
            Kind::Float(x) => x.to_string(),
            _ => a.value.text()?.to_owned(),
        };
        let parsed = parse(&text).filter(|&n| n > 0);
        if parsed.is_none() {
            out.push(
                Diagnostic::error(
                    "NXA003",
                    format!("`{key}` in `resources` of {owner} is no amount: `{text}`"),
                )
                .at(place(&a.value, a.key), "cannot be read")
                .help(format!("write {forms}")),
            );
        }
        parsed
    };
    let resources = Resources {
        cpu_millis: read("cpu", cpu_millis, "a number of CPUs: `2`, `0.5` or \"500m\""),
        memory_bytes: read("memory", bytes, "bytes, or a number with a unit: \"512M\", \"2G\", \"1GiB\""),
        pids: r.get("pids").and_then(Node::int).and_then(|n| u64::try_from(n).ok()),
    };
    Some(Spanned::new(resources, place(&attr.value, attr.key)))
}

fn cpu_millis(text: &str) -> Option<u64> {
    if let Some(millis) = text.strip_suffix('m') {
        return millis.parse().ok();
    }
    let cpus: f64 = text.parse().ok()?;
    (cpus.is_finite() && cpus > 0.0 && cpus < 1e6).then(|| ((cpus * 1000.0).round() as u64).max(1))
}

/// An amount of memory: bytes, or a number with a unit of powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let value = number * (1u64 << shift) as f64;
    (value.is_finite() && (1.0..1e18).contains(&value)).then_some(value as u64)
}

/// The services of a job.
pub(super) fn services(f: Fields<'_>, owner: &str, out: &mut Vec<Diagnostic>) -> Vec<Service> {
    let mut services = Vec::new();
    for a in f.get("services").and_then(Node::attrs).unwrap_or_default() {
        let s = Fields { node: &a.value, table: &schema::SERVICE };
        let word = |key| s.text(key).map(|t| t.value);
        let service = Service {
            name: Spanned::new(a.name.clone(), a.key),
            image: s.text("image"),
            script: word("bash"),
            ports: s
                .get("ports")
                .and_then(Node::list)
                .unwrap_or_default()
                .iter()
                .filter_map(|p| p.int().map(|n| n.to_string()).or_else(|| p.text().map(str::to_owned)))
                .collect(),
            env: s.env(),
            health: word("health"),
        };
        match (s.attr("bash"), s.attr("image")) {
            (Some(bash), Some(image)) => out.push(
                Diagnostic::error(
                    "NXA005",
                    format!("service `{}` of {owner} has both `bash` and `image`", a.name),
                )
                .at(image.key, "excludes the other")
                .also(bash.key, "given here")
                .help("keep one of them"),
            ),
            (None, None) if a.value.attrs().is_some() => out.push(
                Diagnostic::error("NXA002", format!("service `{}` of {owner} has nothing to run", a.name))
                    .at(place(&a.value, a.key), "neither `bash` nor `image`")
                    .help("add `bash = \"…\";`, a script that stays in the foreground, or `image = \"…\";`"),
            ),
            _ => {}
        }
        services.push(service);
    }
    services
}

/// Whether an input's value fits its type; what it must be, when not. Secrets and references to the
/// environment are texts that are not known yet.
pub(super) fn input_wants(input: &super::model::Input, value: &Node) -> Option<String> {
    let later = matches!(value.tag(), Some("secret" | "fromEnv"));
    let fits = match (input.ty.as_str(), &value.kind) {
        ("number", Kind::Int(_) | Kind::Float(_)) | ("boolean", Kind::Bool(_)) => true,
        ("path", Kind::Path(_) | Kind::Str(_)) => true,
        ("string", Kind::Str(_) | Kind::Path(_) | Kind::Derivation(_)) => true,
        ("string", Kind::Attrs(_)) => later,
        ("choice", Kind::Str(_)) => value.text().is_some_and(|t| input.options.iter().any(|o| o == t)),
        (_, Kind::Error(_) | Kind::Unforced | Kind::Unknown) => true,
        _ => false,
    };
    if fits {
        return None;
    }
    Some(match input.ty.as_str() {
        "number" => "a number".into(),
        "boolean" => "a boolean".into(),
        "path" => "a path".into(),
        "choice" => {
            let options: Vec<String> = input.options.iter().map(|o| format!("`{o}`")).collect();
            format!("one of {}", options.join(", "))
        }
        _ => "a string".into(),
    })
}

/// A value of an environment variable as part of a plan.
pub(super) fn plan_text(value: &EnvValue, secrets: &mut Vec<String>) -> super::plan::Text {
    use super::plan::Text;
    match value {
        EnvValue::Unset => Text::Plain(String::new()),
        EnvValue::Text(t) => Text::Plain(t.clone()),
        EnvValue::Secret(s) => {
            secrets.push(s.clone());
            Text::Plain(s.clone())
        }
        EnvValue::FromEnv(name) => Text::FromEnv { from_env: name.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units() {
        assert_eq!(
            (cpu_millis("2"), cpu_millis("0.5"), cpu_millis("250m")),
            (Some(2000), Some(500), Some(250))
        );
        assert_eq!((cpu_millis("-1"), cpu_millis("x")), (None, None));
        assert_eq!(
            (bytes("1024"), bytes("2G"), bytes("512Mi")),
            (Some(1024), Some(2 << 30), Some(512 << 20))
        );
        assert_eq!((bytes("1.5GiB"), bytes("1 kb"), bytes("3 apples")), (Some(3 << 29), Some(1024), None));
    }
}
