//! The shape check: a tree against the table of keys.
//!
//! It finds every unknown, missing, doubled or older key and every value of the wrong type, and
//! hands on errors of evaluation. What it lets through, decoding can rely on.

use super::schema::{self, Key, Table, Type};
use super::tree::{Attr, Kind, Node};
use super::{condition, duration};
use crate::base::source::{Place, SpanId};
use crate::base::suggest;
use crate::diag::{Applicability, Diagnostic, Edit, Fix};

/// Keys that the library itself puts on sets.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "_type" | "_matrix" | "_extended" | "_workflow" | "_written" | "__functor" | "__functionArgs"
    )
}

/// Collects findings on one tree.
pub(crate) struct Shape<'d> {
    pub(crate) out: &'d mut Vec<Diagnostic>,
}

/// Where a value stands: its name for messages, and the key to point at when it has no text.
#[derive(Clone)]
pub(crate) struct Spot {
    pub(crate) name: String,
    pub(crate) key: SpanId,
    /// The index, for an item of the list that is the key's value.
    pub(crate) item: Option<usize>,
    /// Whether it is a key of a retry rule.
    of_retry: bool,
}

impl Spot {
    pub(crate) fn new(name: impl Into<String>, key: SpanId) -> Spot {
        Spot { name: name.into(), key, item: None, of_retry: false }
    }
}

/// The better of the two places: values computed by the library still point into the user's file.
pub(crate) fn place(node: &Node, key: SpanId) -> SpanId {
    if is_known(node.span) { node.span } else { key }
}

/// The same for a set: one that the library put together stands where its first key does.
fn place_of_set(node: &Node, attrs: &[Attr], key: SpanId) -> SpanId {
    let own = place(node, key);
    if is_known(own) {
        return own;
    }
    let known = attrs.iter().map(|a| a.key).filter(|k| is_known(*k));
    known.min_by_key(|k| k.resolve().map(|p| p.start)).unwrap_or(own)
}

/// The place of a value in the user's files, also of one that carries none.
fn origin(node: &Node, at: &Spot) -> Option<Place> {
    let own = node.span.resolve().filter(super::evaluate::is_users);
    own.or_else(|| super::origin::of_key(at.key, at.item)).or_else(|| at.key.resolve())
}

/// Whether a value was written before its key (bound by `let`, say) or in another file.
fn written_elsewhere(value: Option<&Place>, key: SpanId) -> bool {
    match (value, key.resolve()) {
        (Some(v), Some(k)) => v.source.name() != k.source.name() || v.start < k.start,
        _ => false,
    }
}

/// Adds where a wrong value got to, when it was written somewhere else.
pub(super) fn came_to(d: Diagnostic, key: SpanId, text: &str) -> Diagnostic {
    let elsewhere = written_elsewhere(d.primary.as_ref().map(|l| &l.place), key);
    if elsewhere && is_known(key) { d.also(key, text) } else { d }
}

fn is_known(span: SpanId) -> bool {
    span.resolve().is_some_and(|p| super::evaluate::is_users(&p))
}

fn with_article(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {what}")
}

/// What a type is called, with an article.
pub fn describe(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Data => "a value".into(),
        Type::Text => "a string".into(),
        Type::Name => "a string that is not empty".into(),
        Type::Bool => "a boolean".into(),
        Type::Int(0) => "an integer that is not negative".into(),
        Type::Int(1) => "a positive integer".into(),
        Type::Int(n) => format!("an integer of at least {n}"),
        Type::Number => "a number".into(),
        Type::Duration => "a duration".into(),
        Type::Condition => "a condition (a string)".into(),
        Type::EnvValue => "a string, number, boolean, path or null".into(),
        Type::PathText => "a string or path".into(),
        Type::OneOf(words) => {
            let words: Vec<_> = words.iter().map(|w| format!("\"{w}\"")).collect();
            match words.split_last() {
                Some((last, rest)) if !rest.is_empty() => {
                    format!("{} or {last}", rest.join(", "))
                }
                _ => words.concat(),
            }
        }
        Type::List(_, what) => format!("a list of {what}"),
        Type::OneOrList(_, what) => format!("a list of {what}"),
        Type::Map(_, what) => format!("an attribute set of {what}"),
        Type::Record(table) => with_article(table.what),
        Type::TextOr(table) => format!("a string or {}", with_article(table.what)),
        Type::Function => "a function".into(),
        Type::Executor => "an executor".into(),
        Type::Provider => "an environment provider".into(),
        Type::Package => "a package".into(),
        Type::Step => "a step".into(),
        Type::Callable => "a workflow file or function".into(),
        Type::Either(a, b) => format!("{} or {}", describe(a), describe(b)),
    }
}

impl Shape<'_> {
    fn wrong(&mut self, node: &Node, ty: &Type, at: &Spot) {
        let found = match (&node.kind, ty) {
            (Kind::Str(s), Type::OneOf(_)) => format!("\"{}\"", String::from_utf8_lossy(s)),
            (Kind::Int(i), Type::Int(_)) => i.to_string(),
            _ => node.describe().to_string(),
        };
        // An environment has a code of its own.
        let code = match (ty, &node.kind) {
            (Type::EnvValue, _) => "NXA402",
            // Of the right type, but no rule that can be followed.
            (Type::OneOf(_), Kind::Str(_)) | (Type::Int(_), Kind::Int(_)) if at.of_retry => "NXA303",
            _ => "NXA003",
        };
        let mut d =
            Diagnostic::error(code, format!("{} must be {}, and this is {found}", at.name, describe(ty)));
        let written = origin(node, at);
        // Where the value stands at its key, the key says nothing new.
        if written_elsewhere(written.as_ref(), at.key) {
            d = d.also(at.key, "the value of this key");
        }
        if let Some(place) = written {
            d = d.at_place(place, format!("this is {found}"));
        }
        d = match (ty, node.text()) {
            (Type::OneOf(words), Some(text)) => match suggest::did_you_mean(text, words.iter().copied()) {
                Some(help) => instead(d.help(help), text, &suggest::nearest(text, words.iter().copied())),
                None => d,
            },
            (Type::List(..), Some(text)) if text.len() < 60 && !text.contains('\n') => {
                let d = d.help(format!("write a list: `[ \"{text}\" ]`"));
                literal(&d, text)
                    .map_or(d.clone(), |p| replace(d, p, "make it a list", format!("[ \"{text}\" ]")))
            }
            (Type::List(item, _), None) if matches!((&node.kind, *item), (Kind::Attrs(_), Type::Step)) => {
                d.help("put it in a list: `[ { bash = \"make test\"; } ]`")
            }
            (Type::Step, Some(script)) if !script.contains('\n') && script.len() < 60 => {
                d.help(format!("a step is a set: `{{ bash = {script:?}; }}`"))
            }
            (Type::Map(..), _) if at.name.starts_with("`env`") => {
                d.help("write the variables as a set: `{ NAME = \"value\"; }`")
            }
            (Type::Bool, Some(text @ ("true" | "false"))) => unquote(d, text),
            (Type::Bool, _) => d.help("write `true` or `false`"),
            (Type::Executor, Some(kind)) if schema::executor(kind).is_some() => {
                d.help(format!("write `nixactions.executors.{kind}`"))
            }
            (Type::Int(_), Some(text)) if text.parse::<i64>().is_ok() => unquote(d, text),
            (Type::Step, _) => d.help("a step is a set: `{ name = \"test\"; bash = \"make test\"; }`"),
            (Type::Executor, _) => d.help("use one of `nixactions.executors`"),
            (Type::Provider, _) => d.help("use one of `nixactions.envProviders`"),
            (Type::Condition, None) if node.bool() == Some(true) => {
                d.help("leave it out to run on success, or write `\"always()\"`")
            }
            (Type::EnvValue, None) if matches!(node.kind, Kind::List(_) | Kind::Attrs(_)) => {
                d.help("make it a string, with `builtins.toJSON` say")
            }
            (Type::Duration, None) => d.help(duration::FORMS),
            _ => d,
        };
        self.out.push(d);
    }

    /// Checks a value; true when its outermost shape is right.
    pub(crate) fn check(&mut self, node: &Node, ty: &Type, at: &Spot) -> bool {
        match (&node.kind, ty) {
            (Kind::Error(e), _) => {
                self.out.push((**e).clone());
                return false;
            }
            (_, Type::Any) | (Kind::Unknown, _) => return true,
            (_, Type::Data) => return self.data(node),
            _ => {}
        }
        let fits = self.fits(node, ty, at);
        if !fits {
            self.wrong(node, ty, at);
        }
        fits
    }

    /// Hands on the errors inside of data that has no schema.
    fn data(&mut self, node: &Node) -> bool {
        match &node.kind {
            Kind::Error(e) => {
                self.out.push((**e).clone());
                false
            }
            Kind::List(items) => items.iter().map(|n| self.data(n)).fold(true, std::ops::BitAnd::bitand),
            Kind::Attrs(attrs) => {
                attrs.iter().map(|a| self.data(&a.value)).fold(true, std::ops::BitAnd::bitand)
            }
            _ => true,
        }
    }

    /// Whether the outermost shape fits; what is inside is checked on the way.
    fn fits(&mut self, node: &Node, ty: &Type, at: &Spot) -> bool {
        match (ty, &node.kind) {
            (Type::Text, Kind::Str(_)) => node.text().is_some(),
            (Type::Name, Kind::Str(s)) => !s.is_empty() && node.text().is_some(),
            (Type::Bool, Kind::Bool(_)) => true,
            (Type::Int(least), Kind::Int(i)) => i >= least,
            (Type::Number, Kind::Int(_) | Kind::Float(_)) => true,
            (Type::Duration, Kind::Int(_)) => {
                self.duration(node, at);
                true
            }
            (Type::Duration, Kind::Str(_)) if node.text().is_some() => {
                self.duration(node, at);
                true
            }
            (Type::Condition, Kind::Str(_)) if node.text().is_some() => {
                self.condition(node, at);
                true
            }
            (Type::EnvValue, _) => is_env_value(node),
            (Type::PathText, Kind::Path(_)) => true,
            (Type::PathText, Kind::Str(s)) => !s.is_empty() && node.text().is_some(),
            (Type::OneOf(words), Kind::Str(_)) => {
                node.text().is_some_and(|t| words.contains(&t) || self.older_word(t, words, node, at))
            }
            (Type::List(item, what) | Type::OneOrList(item, what), Kind::List(items)) => {
                for (i, n) in items.iter().enumerate() {
                    let spot = item_spot(item, what, n, i, items.len(), at);
                    self.check(n, item, &spot);
                }
                true
            }
            (Type::OneOrList(item, _), Kind::Str(_) | Kind::Path(_)) => self.check(node, item, at),
            (Type::Map(item, _), Kind::Attrs(attrs)) if node.tag().is_none() => {
                for a in attrs.iter().filter(|a| !is_matrix_job(item, a)) {
                    self.check(&a.value, item, &member_spot(item, a, at));
                }
                true
            }
            (Type::Record(table), Kind::Attrs(attrs)) => {
                self.record(node, attrs, table, at);
                true
            }
            (Type::TextOr(_), Kind::Str(s)) => !s.is_empty() && node.text().is_some(),
            (Type::TextOr(table), Kind::Attrs(attrs)) => {
                self.record(node, attrs, table, at);
                true
            }
            (Type::Function, Kind::Function) => true,
            (Type::Function, Kind::Attrs(_)) => node.attr("__functor").is_some(),
            (Type::Callable, Kind::Function | Kind::Path(_) | Kind::Attrs(_)) => true,
            (Type::Executor, Kind::Attrs(_)) if node.tag() == Some("executor") => {
                self.executor(node, at);
                true
            }
            (Type::Provider, Kind::Derivation(_)) => true,
            (Type::Provider, Kind::Attrs(_)) if node.tag() == Some("envProvider") => {
                self.provider(node, at);
                true
            }
            (Type::Package, Kind::Derivation(_) | Kind::Path(_)) => true,
            (Type::Package, Kind::Str(s)) => s.starts_with(b"/") && node.text().is_some(),
            (Type::Step, Kind::Derivation(_)) => true,
            (Type::Step, Kind::Attrs(attrs)) if node.tag().is_none() => {
                self.record(node, attrs, &schema::STEP, at);
                self.script(node, at);
                true
            }
            (Type::Either(a, b), _) => self.fits(node, a, at) || self.fits(node, b, at),
            _ => false,
        }
    }

    /// Whether a word is an older one for one of these, which is told.
    fn older_word(&mut self, word: &str, words: &[&str], node: &Node, at: &Spot) -> bool {
        let Some(new) = schema::newer_word(word, words) else { return false };
        let mut d = Diagnostic::warning("NXA503", format!("\"{word}\" is an older value of {}", at.name))
            .at(place(node, at.key), format!("now \"{new}\""));
        if let Some(place) = literal(&d, word) {
            d = d.fix(Fix {
                title: format!("replace it with `{new}`"),
                edits: vec![Edit { place, text: format!("\"{new}\"") }],
                applicability: Applicability::Safe,
            });
        }
        self.out.push(came_to(d, at.key, "the value of this key"));
        true
    }

    fn duration(&mut self, node: &Node, at: &Spot) {
        let parsed = match (&node.kind, node.text()) {
            (Kind::Int(i), _) => duration::from_seconds(*i),
            (_, Some(text)) => duration::parse(text),
            _ => return,
        };
        // Only a delay may be zero: a limit of no time lets nothing run.
        let why = match parsed {
            Err(e) => e.to_string(),
            Ok(d) if d.is_zero() && !at.name.contains("_time") && !at.name.contains("Time`") => {
                "it is zero, which lets nothing run".into()
            }
            Ok(_) => return,
        };
        let mut d = Diagnostic::error("NXA301", format!("{} is not a duration: {why}", at.name))
            .at(place(node, at.key), "not a duration")
            .help(duration::FORMS);
        let text = node.text().unwrap_or_default();
        if let Some(meant) = duration::meant(text) {
            d = d.help(format!("write it as \"{meant}\""));
            if let Some(place) = literal(&d, text) {
                d = replace(d, place, format!("replace it with `{meant}`"), format!("\"{meant}\""));
            }
        }
        self.out.push(came_to(d, at.key, "the value of this key"));
    }

    fn condition(&mut self, node: &Node, at: &Spot) {
        use condition::ConditionError as E;
        let Some(Err(e)) = node.text().map(condition::parse) else { return };
        let d = Diagnostic::error("NXA304", format!("{}: {e}", at.name));
        let d = match &e {
            E::UnknownFunction(name) => {
                let d = d.at(place(node, at.key), format!("`{name}()` is not known"));
                match suggest::did_you_mean(name, condition::FUNCTIONS) {
                    Some(s) => function_instead(
                        d.help(s.replace("`?", "()`?")),
                        node.text().unwrap_or_default(),
                        name,
                    ),
                    None => d,
                }
                .note("the status functions are success(), failure(), always() and cancelled()")
            }
            E::Mixed => d.at(place(node, at.key), "a status function with a script").help(
                "write the script alone: it is only run when `success()` holds; \
                 for other cases test inside the step",
            ),
            E::Empty => d
                .at(place(node, at.key), "this is empty")
                .help("leave it out to run on success, or write `\"always()\"`"),
            E::Syntax(_) => d.at(place(node, at.key), "this does not parse"),
        };
        self.out.push(came_to(d, at.key, "the value of this key"));
    }

    fn executor(&mut self, node: &Node, at: &Spot) {
        let Some(options) = node.attr("options") else { return };
        let spot = Spot::new(at.name.replacen("`executor`", "the executor", 1), place(node, at.key));
        let kind = node.attr("kind").and_then(|k| k.value.text()).unwrap_or_default();
        match (schema::executor(kind), &options.value.kind) {
            (Some(table), _) => {
                self.check(&options.value, &Type::Record(table), &spot);
            }
            (None, Kind::Attrs(_)) => {
                self.data(&options.value);
            }
            _ => self.wrong(&options.value, &Type::Map(&Type::Any, "options"), &spot),
        }
    }

    fn provider(&mut self, node: &Node, at: &Spot) {
        let Some(options) = node.attr("options") else { return };
        let kind = node.attr("kind").and_then(|k| k.value.text()).unwrap_or_default();
        if let Some(table) = schema::provider(kind) {
            let spot = Spot::new(format!("envProviders.{kind}"), place(node, at.key));
            self.check(&options.value, &Type::Record(table), &spot);
        }
    }

    /// A step has one script.
    fn script(&mut self, node: &Node, at: &Spot) {
        let (bash, run) = (node.attr("bash"), node.attr("run"));
        match (bash, run) {
            (None, None) => {
                // A misspelt key is one mistake, not two.
                let misspelt = node.attrs().unwrap_or_default().iter().any(|a| {
                    schema::STEP.find(&a.name).is_none()
                        && !suggest::nearest(&a.name, ["bash", "run"]).is_empty()
                });
                if !misspelt {
                    let empty = node.attrs().is_some_and(|a| a.is_empty());
                    self.out.push(
                        Diagnostic::error("NXA002", format!("{} has no script", at.name))
                            .at(place(node, at.key), "`bash` is missing here")
                            .help(match empty {
                                true => "add `bash = ''…'';`; if this is an argument, put the call in brackets: `[ (f { }) ]`",
                                false => "add `bash = ''…'';`",
                            }),
                    );
                }
            }
            (Some(a), Some(b)) => self.exclusive(a, b, at),
            (Some(bash), None) => {
                if let Some(shell) = node.attr("shell") {
                    self.out.push(
                        Diagnostic::error(
                            "NXA005",
                            format!("{} has `shell`, but a script in `bash` always runs under bash", at.name),
                        )
                        .at(shell.key, "has no effect on `bash`")
                        .also(bash.key, "the script")
                        .help("call the script `run`, or remove `shell`"),
                    );
                }
            }
            _ => {}
        }
    }

    fn exclusive(&mut self, a: &Attr, b: &Attr, at: &Spot) {
        self.out.push(
            Diagnostic::error("NXA005", format!("{} has both `{}` and `{}`", at.name, a.name, b.name))
                .at(b.key, "excludes the other")
                .also(a.key, "given here")
                .help("keep one of them"),
        );
    }

    /// Checks the keys of a set, and the value of each.
    pub(crate) fn record(&mut self, node: &Node, attrs: &[Attr], table: &'static Table, at: &Spot) {
        let mut misspelt: Vec<&'static str> = Vec::new();
        for a in attrs {
            match table.find(&a.name) {
                Some(key) => self.known(a, key, table, at),
                None if is_internal(&a.name) => {}
                None => misspelt.extend(self.unknown(node, a, table, at)),
            }
        }
        for key in table.keys {
            let given: Vec<&Attr> = key.names().filter_map(|n| attrs.iter().find(|a| a.name == n)).collect();
            if let [a, b, ..] = given[..] {
                self.exclusive(a, b, at);
            }
            let absent = given.iter().all(|a| matches!(a.value.kind, Kind::Null));
            if key.required && absent && !misspelt.contains(&key.name) {
                self.out.push(
                    Diagnostic::error("NXA002", format!("{} has no `{}`", at.name, key.name))
                        .at(place_of_set(node, attrs, at.key), format!("`{}` is missing here", key.name))
                        .help(format!("add `{} = …;`: {}", key.name, lower_first(key.doc))),
                );
            }
        }
    }

    fn known(&mut self, a: &Attr, key: &'static Key, table: &'static Table, at: &Spot) {
        if key.deprecated.contains(&a.name.as_str()) {
            let mut d =
                Diagnostic::warning("NXA004", format!("`{}` is the older name of `{}`", a.name, key.name))
                    .at(a.key, format!("now called `{}`", key.name));
            d.fixes.extend(rename(a, key.name, Applicability::Safe));
            self.out.push(d);
        }
        if !matches!(a.value.kind, Kind::Null) {
            let mut spot = Spot::new(format!("`{}` of {}", a.name, at.name), a.key);
            spot.of_retry = std::ptr::eq(table, &schema::RETRY);
            self.check(&a.value, &key.ty, &spot);
        }
    }

    /// Reports a key nobody knows; the names it was likely meant to be.
    fn unknown(&mut self, node: &Node, a: &Attr, table: &'static Table, at: &Spot) -> Vec<&'static str> {
        let names = table.keys.iter().map(|k| k.name);
        let near = suggest::nearest(&a.name, names.clone());
        let mut d = Diagnostic::error("NXA001", format!("{} has no key `{}`", at.name, a.name)).at(
            a.key,
            match table.what.strip_prefix("set of ") {
                Some(members) => format!("not one of the {members}"),
                None => format!("not a key of {}", with_article(table.what)),
            },
        );
        match suggest::did_you_mean(&a.name, names) {
            Some(help) => d = d.help(help),
            None if table.keys.len() <= 14 => {
                let all: Vec<_> = table.keys.iter().map(|k| format!("`{}`", k.name)).collect();
                d = d.note(format!("its keys are {}", all.join(", ")));
            }
            None => {}
        }
        let given = |name: &str| {
            node.attrs()
                .unwrap_or_default()
                .iter()
                .any(|other| table.find(&other.name).is_some_and(|k| k.name == name))
        };
        if let [only] = near[..]
            && !given(only)
        {
            d.fixes.extend(rename(a, only, Applicability::Unsafe));
        }
        self.out.push(d);
        near
    }
}

fn rename(a: &Attr, to: &str, applicability: Applicability) -> Option<Fix> {
    let place = a.key.resolve().filter(super::evaluate::is_users)?;
    let place = super::origin::name_in_path(&place, &|n| n == a.name).unwrap_or(place);
    Some(Fix {
        title: format!("rename `{}` to `{to}`", a.name),
        edits: vec![Edit { place, text: to.to_string() }],
        applicability,
    })
}

/// The place of the primary label, when exactly this text stands there in quotes.
fn literal(d: &Diagnostic, text: &str) -> Option<Place> {
    let place = &d.primary.as_ref()?.place;
    let written = place.source.text().get(place.range())?;
    (written == format!("\"{text}\"").as_bytes()).then(|| place.clone())
}

/// Adds a fix that likely is what was meant.
fn replace(d: Diagnostic, place: Place, title: impl Into<String>, text: impl Into<String>) -> Diagnostic {
    let edits = vec![Edit { place, text: text.into() }];
    d.fix(Fix { title: title.into(), edits, applicability: Applicability::Unsafe })
}

fn unquote(d: Diagnostic, text: &str) -> Diagnostic {
    let d = d.help("write it without the quotes");
    match literal(&d, text) {
        Some(place) => replace(d, place, "remove the quotes", text),
        None => d,
    }
}

/// Adds a fix that writes the one near word in the place of a text.
pub(super) fn instead(d: Diagnostic, text: &str, near: &[&str]) -> Diagnostic {
    match (near, literal(&d, text)) {
        ([only], Some(place)) => {
            replace(d, place, format!("replace it with `{only}`"), format!("\"{only}\""))
        }
        _ => d,
    }
}

/// Adds a fix that corrects the name of a status function in a condition.
fn function_instead(d: Diagnostic, condition: &str, name: &str) -> Diagnostic {
    let near = suggest::nearest(name, condition::FUNCTIONS);
    match (&near[..], literal(&d, condition)) {
        ([only], Some(place)) => {
            let text = condition.replace(&format!("{name}("), &format!("{only}("));
            replace(d, place, format!("call `{only}()`"), format!("\"{text}\""))
        }
        _ => d,
    }
}

fn lower_first(s: &str) -> String {
    let s = s.trim_end_matches('.');
    let mut chars = s.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().chain(chars).collect())
}

fn is_env_value(node: &Node) -> bool {
    match &node.kind {
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Path(_) => true,
        Kind::Str(s) => node.text().is_some() && !s.contains(&0),
        Kind::Attrs(_) => match node.tag() {
            Some("secret") => node.get("value").is_some_and(|v| v.text().is_some_and(|t| !t.contains('\0'))),
            Some("fromEnv") => node.get("name").is_some_and(|v| v.text().is_some()),
            _ => false,
        },
        _ => false,
    }
}

/// A job with a matrix is checked copy by copy: its fields may be functions of the combination.
fn is_matrix_job(item: &Type, a: &Attr) -> bool {
    matches!(item, Type::Record(t) if std::ptr::eq(*t, &schema::JOB)) && a.value.get("matrix").is_some()
}

/// How an item of a list is called.
fn item_spot(item: &Type, what: &str, node: &Node, i: usize, len: usize, at: &Spot) -> Spot {
    let owner = at.name.split_once(" of ").map_or(at.name.as_str(), |p| p.1);
    let name = match item {
        Type::Step => match node.get("name").and_then(Node::text) {
            Some(name) => format!("step `{name}` of {owner}"),
            None => format!("step {} of {owner}", i + 1),
        },
        _ if len == 1 => format!("the item of {}", at.name),
        _ => format!("item {} of {} ({what})", i + 1, at.name),
    };
    Spot { item: Some(i), ..Spot::new(name, at.key) }
}

/// How a member of a set with free keys is called.
fn member_spot(item: &Type, a: &Attr, at: &Spot) -> Spot {
    let name = match item {
        Type::Record(t) if t.what == "job" => format!("job `{}`", a.name),
        Type::Record(t) => format!("{} `{}`", t.what, a.name),
        Type::EnvValue => format!("`{}` in {}", a.name, at.name),
        _ => format!("`{}` in {}", a.name, at.name),
    };
    // A key that was computed has no text; that of the set around it has to do.
    Spot::new(name, if is_known(a.key) { a.key } else { at.key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::tree::from_json;
    use serde_json::json;

    fn check(v: serde_json::Value) -> Vec<String> {
        let mut out = Vec::new();
        let node = from_json(&v);
        Shape { out: &mut out }.check(
            &node,
            &Type::Record(&schema::WORKFLOW),
            &Spot::new("the workflow", SpanId::NONE),
        );
        out.into_iter()
            .map(|d| {
                format!("{} {}{}", d.code, d.message, d.help.map_or(String::new(), |h| format!(" | {h}")))
            })
            .collect()
    }

    #[test]
    fn a_good_workflow_has_no_findings() {
        let found = check(json!({
            "name": "ci",
            "env": { "A": 1, "B": null, "C": true, "D": 1.5, "E": "x" },
            "timeout": "5m",
            "jobs": {
                "lint": { "steps": [ { "bash": "true", "retry": { "max_attempts": 3, "on": [1, "timeout"] } } ] },
                "test": { "needs": "lint", "if": "always()", "inputs": ["a", { "name": "b", "path": "x" }],
                          "outputs": { "o": "dist" }, "steps": [ { "run": "print(1)", "shell": "python3" } ] },
            },
        }));
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_found() {
        let found = check(json!({
            "nam": "ci",
            "timeout": "soon",
            "jobs": {
                "a": { "neds": [], "steps": [ {}, 3, { "bash": "x", "shell": "sh" }, { "bassh": "y" } ] },
                "b": { "if": "sucess()", "condition": "always()", "actions": [ { "bash": "x" } ],
                       "retry": { "backoff": "linaer", "max_attempts": 0 } },
            },
        }));
        let codes: Vec<&str> = found.iter().map(|f| &f[..6]).collect();
        assert_eq!(
            codes,
            [
                "NXA001", "NXA002", "NXA003", "NXA005", "NXA001", "NXA004", "NXA304", "NXA303", "NXA303",
                "NXA005", "NXA001", "NXA301"
            ],
            "{found:#?}"
        );
        assert!(found.iter().any(|f| f.contains("did you mean `name`?")), "{found:#?}");
        assert!(found.iter().any(|f| f.contains("did you mean `success()`?")), "{found:#?}");
    }
}
