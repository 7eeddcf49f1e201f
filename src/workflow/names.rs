//! What names may be: those of jobs, steps, artifacts and environment variables.

use super::model::{EnvValue, Provider, ProviderKind, Spanned, Variable};
use crate::diag::Diagnostic;

/// Longest name of a job or artifact: each is a directory.
const LONGEST: usize = 200;

/// Checks a name that becomes a file name.
pub(super) fn check(name: &Spanned<String>, what: &str, out: &mut Vec<Diagnostic>) {
    let n = name.value.as_str();
    let why = if n.is_empty() {
        "it is empty"
    } else if n.len() > LONGEST {
        "it is longer than 200 bytes"
    } else if n.starts_with('.') {
        "it begins with a dot"
    } else if n.starts_with('-') {
        "it begins with a hyphen"
    } else if n.contains('/') {
        "it holds a slash"
    } else if n.chars().any(char::is_control) {
        "it holds a control character"
    } else if n.trim() != n {
        "it begins or ends with a space"
    } else {
        return;
    };
    out.push(
        Diagnostic::error("NXA107", format!("`{}` cannot be the name of {what}: {why}", n.escape_debug()))
            .at(name.span, why)
            .help("use letters, digits, `-`, `_` and `.`"),
    );
}

/// Whether this may be the name of an environment variable.
pub(super) fn is_env_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn env_name(name: &Spanned<String>, of: &str, out: &mut Vec<Diagnostic>) {
    if is_env_name(&name.value) {
        return;
    }
    let fixed: String =
        name.value.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    let d = Diagnostic::error(
        "NXA401",
        format!("`{}` in {of} is not a name of an environment variable", name.value.escape_debug()),
    )
    .at(name.span, "letters, digits and `_` only, no digit first");
    out.push(if is_env_name(&fixed) { d.help(format!("write `{fixed}`")) } else { d });
}

/// Checks the names of variables.
pub(super) fn check_env(env: &[Variable], of: &str, out: &mut Vec<Diagnostic>) {
    for v in env {
        env_name(&v.name, of, out);
        if let EnvValue::FromEnv(from) = &v.value {
            env_name(&Spanned::new(from.clone(), v.name.span), of, out);
        }
    }
}

/// Checks the names that providers speak of.
pub(super) fn check_providers(providers: &[Provider], of: &str, out: &mut Vec<Diagnostic>) {
    for p in providers {
        match &p.kind {
            ProviderKind::Static(env) => check_env(env, of, out),
            ProviderKind::Required(names) => names.iter().for_each(|n| env_name(n, of, out)),
            ProviderKind::Program { printed, .. } => {
                for name in printed.fields.keys().chain(&printed.variable) {
                    env_name(&Spanned::new(name.clone(), p.span), of, out);
                }
            }
            ProviderKind::File { .. } => {}
        }
    }
}
