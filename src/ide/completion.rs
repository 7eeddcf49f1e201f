//! Completion: keys, job names, artifacts, members of sets, names in scope, words, paths.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, SyntaxToken, TextRange, TextSize};
use rowan::ast::AstNode;

use super::document::{Document, range};
use super::facts::table_of;
use super::place::{Context, callee_of, descend, is_at_root, path_names};
use super::probe::{Answer, Probe, Query, text_for};
use super::scope::DefKind;
use super::symbols::matches;
use super::target::{Role, jobs_written, mentions};
use super::words::{OFFERED, key_doc, type_name, value_snippet};
use crate::eval::builtins;
use crate::eval::coerce::is_identifier;
use crate::eval::io::{EvalIo, FileKind};
use crate::syntax::reparse::Change;
use crate::workflow::schema::{Table, Type};

/// What an offer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A key of the workflow language, or an option.
    Key,
    /// A job.
    Job,
    /// An artifact.
    Artifact,
    /// A word that a value may be.
    Value,
    /// A member of a set.
    Member,
    /// A function.
    Function,
    /// A name bound in the file.
    Variable,
    /// A word of the language.
    Keyword,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// One offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is shown, and typed to find it.
    pub label: String,
    /// What it is.
    pub kind: ItemKind,
    /// A few words.
    pub detail: String,
    /// Documentation in Markdown.
    pub doc: String,
    /// What is written in place of [`Completion::range`].
    pub insert: String,
    /// The same with places to fill in, for editors that know snippets.
    pub snippet: Option<String>,
    /// Whether it is an older name.
    pub deprecated: bool,
    /// The lower, the earlier it is shown.
    pub rank: u8,
}

/// The offers at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The text they replace.
    pub range: TextRange,
    /// They.
    pub items: Vec<Item>,
    /// Whether more typing may bring others.
    pub incomplete: bool,
}

/// Offers that are sent at once.
const MOST: usize = 500;

/// What was typed of the word so far.
struct Typed<'t> {
    prefix: &'t str,
    /// Whether offers were left out that do not fit it.
    left_out: Cell<bool>,
}

fn item(label: &str, kind: ItemKind, detail: impl Into<String>) -> Item {
    Item {
        label: label.to_owned(),
        kind,
        detail: detail.into(),
        doc: String::new(),
        insert: label.to_owned(),
        snippet: None,
        deprecated: false,
        rank: 5,
    }
}

/// The offers at an offset.
pub fn complete(context: &Context<'_>, offset: u32, probe: &dyn Probe, io: &dyn EvalIo) -> Completion {
    let before = context.document.token_before(offset);
    let typed = typed_range(before.as_ref(), offset);
    let prefix = context.document.slice(TextRange::new(typed.start(), offset.into())).to_owned();
    let so_far = Typed { prefix: &prefix, left_out: Cell::new(false) };
    if !before.as_ref().is_some_and(|t| is_text(t, offset))
        && (typed.is_empty() || context.document.is_broken())
    {
        let repaired = repaired(context.document, typed);
        let context = Context::new(&repaired, context.facts.as_ref().map(|f| f.facts));
        let end = if typed.is_empty() { offset + 1 } else { typed.end().into() };
        let items = match repaired.token_before(end) {
            Some(token) => {
                let word = range(typed.start().into(), end);
                at_token(&context, &token, word, end, (&so_far, probe, io)).1
            }
            None => Vec::new(),
        };
        return limit(typed, items, &so_far);
    }
    let (range, items) = match before {
        Some(token) => at_token(context, &token, typed, offset, (&so_far, probe, io)),
        None => (typed, names(context, &context.root, None, &so_far, probe)),
    };
    limit(range, items, &so_far)
}

/// The text with what is being written made whole, so that the tree has a place for it: of the ways
/// to end it, the one that leaves the fewest errors.
fn repaired(document: &Document, typed: TextRange) -> Document {
    let letter = if typed.is_empty() { "x" } else { "" };
    let mut best: Option<(usize, Document)> = None;
    for end in ["", ";", " = null;", " null;"] {
        let mut text = document.text().to_string();
        let added = format!("{letter}{end}");
        let at: u32 = typed.end().into();
        text.insert_str(at as usize, &added);
        let change = Change { start: at, old_end: at, new_end: at + added.len() as u32 };
        let candidate = document.edited(text, change);
        let errors = candidate.error_count();
        if best.as_ref().is_none_or(|b| errors < b.0) {
            best = Some((errors, candidate));
        }
        if errors == 0 {
            break;
        }
    }
    best.map_or_else(|| Document::new(document.path(), document.text().clone()), |b| b.1)
}

/// Whether what is written after a token belongs to a string, path or comment.
fn is_text(token: &SyntaxToken, offset: u32) -> bool {
    use SyntaxKind::*;
    match token.kind() {
        TOKEN_COMMENT | TOKEN_STRING_START | TOKEN_STRING_CONTENT | TOKEN_PATH_ABS | TOKEN_PATH_REL
        | TOKEN_PATH_HOME => true,
        TOKEN_STRING_END => token.text_range().end() > offset.into(),
        _ => token.parent().is_some_and(|p| p.kind() == NODE_STRING),
    }
}

fn limit(range: TextRange, mut items: Vec<Item>, typed: &Typed<'_>) -> Completion {
    let mut seen = BTreeSet::new();
    items.retain(|i| seen.insert(i.label.clone()));
    let mut incomplete = typed.left_out.get();
    if items.len() > MOST {
        incomplete = true;
        items.retain(|i| matches(&i.label, typed.prefix));
        items.sort_by_key(|i| !i.label.starts_with(typed.prefix));
        items.truncate(MOST);
    }
    Completion { range, items, incomplete }
}

/// The word that is being typed.
fn typed_range(before: Option<&SyntaxToken>, offset: u32) -> TextRange {
    use SyntaxKind::*;
    let Some(t) = before else { return range(offset, offset) };
    let text = t.text();
    let is_word = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '\''));
    match t.kind() {
        TOKEN_IDENT | TOKEN_STRING_CONTENT | TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME => {
            t.text_range()
        }
        TOKEN_WHITESPACE | TOKEN_COMMENT => range(offset, offset),
        _ if is_word => t.text_range(),
        _ => range(offset, offset),
    }
}

fn at_token(
    context: &Context<'_>,
    token: &SyntaxToken,
    typed: TextRange,
    offset: u32,
    (so_far, probe, io): (&Typed<'_>, &dyn Probe, &dyn EvalIo),
) -> (TextRange, Vec<Item>) {
    use SyntaxKind::*;
    let Some(node) = token.parent() else { return (typed, Vec::new()) };
    match token.kind() {
        TOKEN_COMMENT => return (typed, Vec::new()),
        TOKEN_STRING_CONTENT | TOKEN_STRING_START => {
            let inside = token.kind() == TOKEN_STRING_CONTENT || token.text_range().end() == offset.into();
            if inside && node.kind() == NODE_STRING {
                return in_string(context, &node, typed, offset);
            }
        }
        TOKEN_STRING_END if token.text_range().end() > offset.into() => {
            return in_string(context, &node, typed, offset);
        }
        TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME => {
            return paths(context.document.directory(), token, offset, io);
        }
        _ => {}
    }
    if let Some(base) = selected_base(context, token, typed) {
        return (typed, members(context, &node, &base, so_far, probe));
    }
    if let Some(lambda) = pattern_around(token) {
        let taken: BTreeSet<String> =
            context.scopes.names(&lambda).map(|n| n.keys().cloned().collect()).unwrap_or_default();
        let offered = OFFERED.iter().filter(|_| is_at_root(&lambda)).map(|(name, doc)| Item {
            doc: (*doc).to_owned(),
            ..item(name, ItemKind::Variable, "argument of the file")
        });
        return (typed, offered.filter(|i| !taken.contains(&i.label)).collect());
    }
    if let Some((set, path)) = key_position(token, typed) {
        return (typed, keys(context, &set, &path, typed, probe));
    }
    (typed, names(context, &node, expected_here(context, token), so_far, probe))
}

/// Inside of a string: jobs in `needs`, artifacts in `inputs`, the words of a value.
fn in_string(
    context: &Context<'_>,
    node: &SyntaxNode,
    typed: TextRange,
    offset: u32,
) -> (TextRange, Vec<Item>) {
    if node.children().next().is_some() {
        return (typed, Vec::new());
    }
    let typed = match typed.is_empty() {
        true => range(offset, offset),
        false => typed,
    };
    let names = key_of(node);
    let last = names.last().map(String::as_str).unwrap_or_default();
    let items = match last {
        "needs" => needs(context, node),
        "inputs" => artifacts(context),
        _ => context.expected(node).map(|ty| words_of(&ty, false)).unwrap_or_default(),
    };
    (typed, items)
}

/// The path of the entry whose value, or whose list, holds a node.
fn key_of(node: &SyntaxNode) -> Vec<String> {
    let mut around = node.ancestors().skip(1);
    let entry = around.find(|n| {
        !matches!(
            n.kind(),
            SyntaxKind::NODE_LIST | SyntaxKind::NODE_PAREN | SyntaxKind::NODE_BIN_OP | SyntaxKind::NODE_ERROR
        )
    });
    entry.and_then(|e| path_names(&e)).unwrap_or_default()
}

/// The jobs that may be needed: all but the one it stands in, and those that are named already.
fn needs(context: &Context<'_>, node: &SyntaxNode) -> Vec<Item> {
    let written = jobs_written(&context.root);
    let own = written.iter().find(|j| j.entry.text_range().contains_range(node.text_range()));
    let own = own.map(|j| j.name.clone());
    let list = node.parent().filter(|p| p.kind() == SyntaxKind::NODE_LIST);
    let named: BTreeSet<String> = list
        .into_iter()
        .flat_map(|l| l.children().collect::<Vec<_>>())
        .filter(|n| n != node)
        .filter_map(|n| super::scope::plain_string(&n))
        .collect();
    let mut out: Vec<Item> = Vec::new();
    if let Some(present) = &context.facts {
        for (_, job) in present.facts.jobs() {
            let steps = job.steps.len();
            let detail =
                format!("job, level {}, {steps} step{}", job.level, if steps == 1 { "" } else { "s" });
            out.push(Item { rank: 1, ..item(&job.written_as, ItemKind::Job, detail) });
        }
    }
    out.extend(written.iter().map(|j| Item { rank: 1, ..item(&j.name, ItemKind::Job, "job") }));
    out.retain(|i| Some(&i.label) != own.as_ref() && !named.contains(&i.label));
    out
}

fn artifacts(context: &Context<'_>) -> Vec<Item> {
    let given = mentions(context).into_iter().filter(|m| m.role == Role::Output);
    given
        .map(|m| Item { rank: 1, ..item(&m.name, ItemKind::Artifact, format!("artifact of job {}", m.job)) })
        .collect()
}

/// The words that a value of a type may be.
fn words_of(ty: &Type, quoted: bool) -> Vec<Item> {
    let word = |w: &str, detail: &str| {
        let insert = if quoted { format!("\"{w}\"") } else { w.to_owned() };
        Item { insert, rank: 1, ..item(w, ItemKind::Value, detail) }
    };
    match ty {
        Type::OneOf(words) => words.iter().map(|w| word(w, "")).collect(),
        Type::Condition => {
            let all = [
                ("success()", "all before succeeded (the default)"),
                ("failure()", "something before failed"),
                ("always()", "whatever happened"),
                ("cancelled()", "the run was cancelled"),
            ];
            all.iter().map(|(w, d)| word(w, d)).collect()
        }
        Type::Bool if quoted => {
            ["true", "false"].map(|w| Item { rank: 1, ..item(w, ItemKind::Value, "") }).into()
        }
        Type::Either(a, b) => words_of(a, quoted).into_iter().chain(words_of(b, quoted)).collect(),
        Type::OneOrList(inner, _) => words_of(inner, quoted),
        _ => Vec::new(),
    }
}

/// The expression before the dot after which something is typed.
fn selected_base(context: &Context<'_>, token: &SyntaxToken, typed: TextRange) -> Option<String> {
    let mut dot = token.clone();
    if dot.text_range() == typed && !typed.is_empty() {
        dot = dot.prev_token()?;
    }
    if dot.kind() != SyntaxKind::TOKEN_DOT {
        return None;
    }
    // Backwards over `name`, `"name"`, `${…}` and closed parentheses, joined by dots.
    let mut start = dot.text_range().start();
    let mut at = dot.prev_token()?;
    loop {
        let whole = match at.kind() {
            SyntaxKind::TOKEN_IDENT | SyntaxKind::TOKEN_OR => at.text_range(),
            SyntaxKind::TOKEN_STRING_END | SyntaxKind::TOKEN_R_PAREN | SyntaxKind::TOKEN_R_BRACE => {
                at.parent()?.text_range()
            }
            _ => return None,
        };
        start = start.min(whole.start());
        let Some(previous) = context.root.token_at_offset(start).left_biased() else { break };
        if previous.kind() != SyntaxKind::TOKEN_DOT || previous.text_range().end() > start {
            break;
        }
        start = previous.text_range().start();
        at = previous.prev_token()?;
    }
    // In the path of an entry the dot joins keys, and selects nothing.
    let entry = token.parent_ancestors().find(|n| n.kind() == SyntaxKind::NODE_ATTRPATH_VALUE);
    let assign = entry.as_ref().and_then(|e| ast::AttrpathValue::cast(e.clone())?.assign_token());
    let in_key = match (&entry, assign) {
        (Some(e), Some(assign)) => {
            e.text_range().start() == start && dot.text_range().end() <= assign.text_range().start()
        }
        (Some(e), None) => e.text_range().start() == start,
        (None, _) => false,
    };
    let statement = !in_key && !begins_entry(context, start);
    statement.then(|| context.document.slice(TextRange::new(start, dot.text_range().start())).to_owned())
}

/// Whether an expression at an offset stands where the entry of a set would begin.
fn begins_entry(context: &Context<'_>, start: TextSize) -> bool {
    let mut before = context.root.token_at_offset(start).left_biased();
    while let Some(t) = before.as_ref().filter(|t| t.kind().is_trivia()) {
        before = t.prev_token();
    }
    let Some(token) = before else { return false };
    match token.kind() {
        SyntaxKind::TOKEN_SEMICOLON => !token
            .parent()
            .is_some_and(|p| matches!(p.kind(), SyntaxKind::NODE_WITH | SyntaxKind::NODE_ASSERT)),
        SyntaxKind::TOKEN_L_BRACE | SyntaxKind::TOKEN_LET => true,
        _ => false,
    }
}

fn members(
    context: &Context<'_>,
    at: &SyntaxNode,
    base: &str,
    so_far: &Typed<'_>,
    probe: &dyn Probe,
) -> Vec<Item> {
    if base == "builtins" {
        return builtins::all().map(|b| builtin_item(b.name, b)).collect();
    }
    let text = text_for(&context.scopes, at, base);
    let Some(Answer::Members(found)) = probe.ask(text, Query::Members) else { return Vec::new() };
    let make = |m: &super::probe::Member| {
        let kind = if m.what == "function" { ItemKind::Function } else { ItemKind::Member };
        let insert =
            if is_identifier(m.name.as_bytes()) { m.name.clone() } else { format!("\"{}\"", m.name) };
        Item { doc: m.doc.to_owned(), insert, rank: 2, ..item(&m.name, kind, m.what) }
    };
    if found.len() <= MOST {
        return found.iter().map(make).collect();
    }
    // Of a set like nixpkgs only the offers that fit are made, those that begin with the word first.
    so_far.left_out.set(true);
    let fitting = || found.iter().filter(|m| matches(&m.name, so_far.prefix));
    let first = |m: &&super::probe::Member| m.name.starts_with(so_far.prefix);
    let all = fitting().filter(first).chain(fitting().filter(|m| !first(m)));
    all.take(MOST).map(make).collect()
}

fn builtin_item(label: &str, b: &builtins::Builtin) -> Item {
    let plural = if b.arity == 1 { "" } else { "s" };
    let detail = format!("builtin, {} argument{plural}", b.arity);
    Item { doc: b.doc.to_owned(), rank: 6, ..item(label, ItemKind::Function, detail) }
}

/// The function in whose pattern a token stands, not inside of a default.
fn pattern_around(token: &SyntaxToken) -> Option<SyntaxNode> {
    let pattern = token.parent_ancestors().find(|n| n.kind() == SyntaxKind::NODE_PATTERN)?;
    let mut inner = token.parent_ancestors().take_while(|n| *n != pattern);
    if inner.any(|n| !matches!(n.kind(), SyntaxKind::NODE_PAT_ENTRY | SyntaxKind::NODE_IDENT)) {
        return None;
    }
    pattern.parent()
}

/// The set, and the keys before, if a token stands where a key is written.
fn key_position(token: &SyntaxToken, typed: TextRange) -> Option<(SyntaxNode, Vec<String>)> {
    use SyntaxKind::*;
    let mut before = match token.text_range() == typed && !typed.is_empty() {
        true => token.prev_token(),
        false => Some(token.clone()),
    };
    let mut path = Vec::new();
    // `a.b.` before the word.
    while before.as_ref().is_some_and(|t| t.kind() == TOKEN_DOT) {
        let name = before?.prev_token()?;
        let attr = name.parent()?;
        let text = match attr.kind() {
            NODE_STRING => super::scope::plain_string(&attr)?,
            _ => name.text().to_owned(),
        };
        path.insert(0, text);
        before = match attr.kind() {
            NODE_STRING => attr.first_token()?.prev_token(),
            _ => name.prev_token(),
        };
    }
    while before.as_ref().is_some_and(|t| t.kind().is_trivia()) {
        before = before?.prev_token();
    }
    let before = before?;
    let holder = before.parent()?;
    let set = match before.kind() {
        TOKEN_L_BRACE if holder.kind() == NODE_ATTR_SET => holder,
        TOKEN_L_BRACE if holder.kind() == NODE_PATTERN => return None,
        TOKEN_SEMICOLON => holder
            .ancestors()
            .find(|n| matches!(n.kind(), NODE_ATTR_SET | NODE_LET_IN | NODE_WITH | NODE_ASSERT))
            .filter(|n| n.kind() == NODE_ATTR_SET)?,
        _ => return None,
    };
    Some((set, path))
}

fn keys(
    context: &Context<'_>,
    set: &SyntaxNode,
    path: &[String],
    typed: TextRange,
    probe: &dyn Probe,
) -> Vec<Item> {
    let table = match path {
        [] => context.table(set),
        _ => {
            let ty = context.table(set).map(Type::Record).or_else(|| context.expected(set));
            ty.and_then(|ty| descend(&ty, path)).and_then(|ty| table_of(&ty))
        }
    };
    let Some(table) = table else {
        return if path.is_empty() { formals(context, set, probe) } else { Vec::new() };
    };
    let depth = path.len();
    let others = set.children().filter(|e| !e.text_range().contains_range(typed) || typed.is_empty());
    let taken: BTreeSet<String> = others
        .filter_map(|e| path_names(&e))
        .filter(|n| n.len() > depth && n[..depth] == *path)
        .map(|n| n[depth].clone())
        .collect();
    table_items(table, &taken)
}

fn table_items(table: &'static Table, taken: &BTreeSet<String>) -> Vec<Item> {
    let free = table.keys.iter().filter(|k| !k.names().any(|n| taken.contains(n)));
    free.map(|k| {
        let mut i = item(k.name, ItemKind::Key, type_name(&k.ty));
        i.doc = key_doc(table, k);
        i.snippet = Some(format!("{} = {};", k.name, value_snippet(&k.ty)));
        i.rank = if k.required { 0 } else { 2 };
        i
    })
    .collect()
}

/// The arguments by name of the function that a set is given to.
fn formals(context: &Context<'_>, set: &SyntaxNode, probe: &dyn Probe) -> Vec<Item> {
    let Some(callee) = callee_of(set) else { return Vec::new() };
    let text = text_for(&context.scopes, &callee, &callee.text().to_string());
    let Some(Answer::Members(found)) = probe.ask(text, Query::Formals) else { return Vec::new() };
    let make = |m: &super::probe::Member| Item {
        snippet: Some(format!("{} = $1;", m.name)),
        rank: if m.what == "required" { 0 } else { 2 },
        ..item(&m.name, ItemKind::Key, format!("{} argument", m.what))
    };
    found.iter().map(make).collect()
}

/// The type of the value that is begun right after `=`.
fn expected_here(context: &Context<'_>, token: &SyntaxToken) -> Option<Type> {
    let node = token.parent()?;
    if node.kind() == SyntaxKind::NODE_IDENT {
        return context.expected(&node);
    }
    let mut before = Some(token.clone());
    while before.as_ref().is_some_and(|t| t.kind().is_trivia()) {
        before = before?.prev_token();
    }
    let assign = before.filter(|t| t.kind() == SyntaxKind::TOKEN_ASSIGN)?;
    let entry = assign.parent()?;
    let names = path_names(&entry)?;
    let set = entry.parent()?;
    let ty = context.table(&set).map(Type::Record).or_else(|| context.expected(&set))?;
    descend(&ty, &names)
}

const KEYWORDS: [&str; 9] = ["let", "in", "if", "then", "else", "with", "inherit", "rec", "assert"];

/// The names that are seen at a node, and the words of the language.
fn names(
    context: &Context<'_>,
    at: &SyntaxNode,
    expected: Option<Type>,
    so_far: &Typed<'_>,
    probe: &dyn Probe,
) -> Vec<Item> {
    let mut out = expected.map(|ty| words_of(&ty, true)).unwrap_or_default();
    for (scope, _) in context.scopes.enclosing(at) {
        if let Some(with) = ast::With::cast(scope.clone()) {
            let Some(namespace) = with.namespace() else { continue };
            let text = namespace.syntax().text().to_string();
            let found = members(context, namespace.syntax(), &text, so_far, probe).into_iter();
            out.extend(found.map(|i| Item { rank: 4, detail: format!("{} of {text}", i.detail), ..i }));
            continue;
        }
        let Some(bound) = context.scopes.names(&scope) else { continue };
        let mut names: Vec<_> = bound.values().collect();
        names.sort_by_key(|d| d.range.start());
        out.extend(names.into_iter().map(|d| {
            let detail = match d.kind {
                DefKind::Parameter | DefKind::Formal => "parameter",
                DefKind::Rec => "attribute",
                _ => "local",
            };
            Item { rank: 3, ..item(&d.name, ItemKind::Variable, detail) }
        }));
    }
    out.extend(builtins::all().filter(|b| builtins::is_bare(b.name)).map(|b| builtin_item(b.name, b)));
    out.push(Item { rank: 6, ..item("builtins", ItemKind::Member, "all builtins") });
    for word in ["true", "false", "null"].iter().chain(&KEYWORDS) {
        out.push(Item { rank: 7, ..item(word, ItemKind::Keyword, "") });
    }
    out
}

/// Files and folders below a path that is being typed.
fn paths(directory: &Path, token: &SyntaxToken, offset: u32, io: &dyn EvalIo) -> (TextRange, Vec<Item>) {
    let start = token.text_range().start();
    let typed = &token.text()[..usize::from(TextSize::from(offset) - start).min(token.text().len())];
    let Some(slash) = typed.rfind('/') else { return (range(offset, offset), Vec::new()) };
    let folder = directory.join(&typed[..=slash]);
    let word = TextRange::new(start + TextSize::from(slash as u32 + 1), token.text_range().end());
    let Ok(mut entries) = io.read_dir(&folder) else { return (word, Vec::new()) };
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let items = entries.into_iter().filter_map(|(name, kind)| {
        let name = String::from_utf8(name).ok().filter(|n| !n.starts_with('.'))?;
        Some(match kind {
            FileKind::Directory => item(&name, ItemKind::Folder, "folder"),
            _ => item(&name, ItemKind::File, "file"),
        })
    });
    (word, items.collect())
}
