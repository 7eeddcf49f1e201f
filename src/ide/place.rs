//! Which value of a workflow an expression is, by the constructs around it.

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode};
use rowan::ast::AstNode;

use super::document::Document;
use super::facts::{Facts, Present, table_of};
use super::scope::{Resolved, Scopes, attr_name, is_rec, variables};
use crate::workflow::schema::{self, Table, Type};

/// Steps from a name to where it is used.
const DEEPEST: u32 = 5;

/// A document with what is known of it.
pub struct Context<'a> {
    /// The text.
    pub document: &'a Document,
    /// Its tree.
    pub root: SyntaxNode,
    /// Its names.
    pub scopes: Scopes,
    /// The last good evaluation.
    pub facts: Option<Present<'a>>,
}

impl<'a> Context<'a> {
    /// A document, with the facts of its last good evaluation.
    pub fn new(document: &'a Document, facts: Option<&'a Facts>) -> Context<'a> {
        Context {
            document,
            root: document.root(),
            scopes: Scopes::default(),
            facts: facts.map(|f| Present::new(f, document)),
        }
    }

    /// The type that the value of an expression must have, where the language says so.
    pub fn expected(&self, expr: &SyntaxNode) -> Option<Type> {
        self.expected_within(expr, 0)
    }

    /// The keys that a set has.
    pub fn table(&self, set: &SyntaxNode) -> Option<&'static Table> {
        let known = self.facts.as_ref().and_then(|f| f.table_at(set.text_range()));
        known.or_else(|| table_of(&self.expected(set)?)).or_else(|| {
            let callee = callee_of(set)?;
            options_of(&callee)
        })
    }

    fn expected_within(&self, expr: &SyntaxNode, depth: u32) -> Option<Type> {
        if depth > DEEPEST {
            return None;
        }
        let mut child = expr.clone();
        loop {
            let parent = child.parent()?;
            match parent.kind() {
                SyntaxKind::NODE_ATTRPATH_VALUE => return self.of_entry(&parent, depth),
                SyntaxKind::NODE_LIST => {
                    return match self.expected_within(&parent, depth + 1)? {
                        Type::List(item, _) | Type::OneOrList(item, _) => Some(*item),
                        _ => None,
                    };
                }
                SyntaxKind::NODE_APPLY => match self.of_argument(&parent, &child, depth) {
                    Argument::Typed(ty) => return Some(ty),
                    Argument::Through => {}
                    Argument::Nothing => return None,
                },
                SyntaxKind::NODE_ROOT => return is_workflow_set(expr).then_some(WORKFLOW),
                SyntaxKind::NODE_PAREN
                | SyntaxKind::NODE_LAMBDA
                | SyntaxKind::NODE_WITH
                | SyntaxKind::NODE_ASSERT
                | SyntaxKind::NODE_IF_ELSE
                | SyntaxKind::NODE_LET_IN
                | SyntaxKind::NODE_BIN_OP => {}
                _ => return None,
            }
            child = parent;
        }
    }

    fn of_entry(&self, entry: &SyntaxNode, depth: u32) -> Option<Type> {
        let names = path_names(entry)?;
        let set = entry.parent()?;
        if set.kind() == SyntaxKind::NODE_ATTR_SET {
            let known = self.facts.as_ref().and_then(|f| f.table_at(set.text_range())).map(Type::Record);
            let mut ty = known.or_else(|| self.expected_within(&set, depth + 1)).or_else(|| {
                let table = callee_of(&set).and_then(|c| options_of(&c))?;
                Some(Type::Record(table))
            });
            // A set of several workflows at the root of the file.
            if ty.is_none() && names.len() > 1 && is_at_root(&set) {
                ty = Some(WORKFLOW);
            }
            if let Some(ty) = ty.and_then(|ty| descend(&ty, &names)) {
                return Some(ty);
            }
        }
        let bound = set.kind() == SyntaxKind::NODE_LET_IN || is_rec(&set);
        if !bound || names.len() != 1 {
            return None;
        }
        // The type of a name is that of the place where it is used.
        let def = self.scopes.names(&set)?.get(&names[0]).cloned()?;
        let same = |r: &Resolved| matches!(r, Resolved::Def(d) if d.range == def.range);
        let used = variables(&set).filter(|n| {
            n.text() == names[0].as_str() && n.text_range() != def.range && same(&self.scopes.resolve(n))
        });
        used.take(8).find_map(|n| self.expected_within(&n, depth + 1))
    }

    fn of_argument(&self, apply: &SyntaxNode, child: &SyntaxNode, depth: u32) -> Argument {
        let Some(call) = ast::Apply::cast(apply.clone()) else { return Argument::Nothing };
        let is_argument = call.argument().is_some_and(|a| a.syntax() == child);
        if !is_argument {
            return Argument::Through;
        }
        let (callee, position) = head_of(&call);
        let Some(path) = select_path(&callee) else { return Argument::Nothing };
        let last = path.last().map(String::as_str).unwrap_or_default();
        let typed = |ty: Option<Type>| ty.map_or(Argument::Nothing, Argument::Typed);
        match (last, position) {
            ("mkWorkflow", 0) => Argument::Typed(WORKFLOW),
            ("mkJob", 0) => Argument::Typed(JOB),
            ("optionalAttrs", 1) | ("recursiveUpdate", _) | ("removeAttrs", 0) | ("optionals", 1) => {
                Argument::Through
            }
            ("mapAttrs" | "genAttrs" | "mapAttrs'", _) if child.kind() != SyntaxKind::NODE_ATTR_SET => {
                typed(self.expected_within(apply, depth + 1).and_then(|ty| match ty {
                    Type::Map(item, _) => Some(*item),
                    _ => None,
                }))
            }
            ("map" | "concatMap" | "optional", _) if child.kind() != SyntaxKind::NODE_LIST => {
                typed(self.expected_within(apply, depth + 1).and_then(|ty| match ty {
                    Type::List(item, _) | Type::OneOrList(item, _) => Some(*item),
                    _ => None,
                }))
            }
            _ => Argument::Nothing,
        }
    }
}

const WORKFLOW: Type = Type::Record(&schema::WORKFLOW);
const JOB: Type = Type::Record(&schema::JOB);

enum Argument {
    Typed(Type),
    Through,
    Nothing,
}

/// The names of an entry's path, when all are written out.
pub fn path_names(entry: &SyntaxNode) -> Option<Vec<String>> {
    let path = ast::AttrpathValue::cast(entry.clone())?.attrpath()?;
    path.attrs().map(|a| attr_name(&a)).collect()
}

/// The type of what stands at a path below a value.
pub fn descend(ty: &Type, names: &[String]) -> Option<Type> {
    let Some((first, rest)) = names.split_first() else { return Some(*ty) };
    let below = match ty {
        Type::Map(item, _) => **item,
        Type::Either(a, b) => return descend(a, names).or_else(|| descend(b, names)),
        other => table_of(other)?.find(first)?.ty,
    };
    descend(&below, rest)
}

/// The function that a call calls, through all its arguments, and the number of the last one.
fn head_of(call: &ast::Apply) -> (SyntaxNode, usize) {
    let mut callee = call.lambda().map(|l| l.syntax().clone()).unwrap_or_else(|| call.syntax().clone());
    let mut position = 0;
    while let Some(inner) = ast::Apply::cast(callee.clone()).and_then(|a| a.lambda()) {
        if inner.syntax() == &callee {
            break;
        }
        callee = inner.syntax().clone();
        position += 1;
    }
    (callee, position)
}

/// The function that a set is the argument of.
pub fn callee_of(set: &SyntaxNode) -> Option<SyntaxNode> {
    let mut node = set.clone();
    let mut parent = node.parent()?;
    while parent.kind() == SyntaxKind::NODE_PAREN {
        node = parent;
        parent = node.parent()?;
    }
    let call = ast::Apply::cast(parent)?;
    if call.argument()?.syntax() != &node {
        return None;
    }
    Some(call.lambda()?.syntax().clone())
}

/// `a.b.c` as names; of a variable, one.
pub fn select_path(expr: &SyntaxNode) -> Option<Vec<String>> {
    if expr.kind() == SyntaxKind::NODE_IDENT {
        return Some(vec![expr.text().to_string()]);
    }
    let select = ast::Select::cast(expr.clone())?;
    let mut path = select_path(select.expr()?.syntax())?;
    for attr in select.attrpath()?.attrs() {
        path.push(attr_name(&attr)?);
    }
    Some(path)
}

/// The keys of the options that a function of the library takes.
pub fn options_of(callee: &SyntaxNode) -> Option<&'static Table> {
    let path = select_path(callee)?;
    match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [.., "executors", "local"] => Some(&schema::LOCAL_EXECUTOR),
        [.., "envProviders", "static" | "required"] => None,
        [.., "envProviders", kind] => schema::provider(kind),
        [.., "mkWorkflow"] => Some(&schema::WORKFLOW),
        [.., "mkJob"] => Some(&schema::JOB),
        _ => None,
    }
}

/// Whether a set is what the file gives, through functions and `let`.
pub fn is_at_root(set: &SyntaxNode) -> bool {
    let mut node = set.clone();
    while let Some(parent) = node.parent() {
        let through = match parent.kind() {
            SyntaxKind::NODE_ROOT => return true,
            SyntaxKind::NODE_LAMBDA | SyntaxKind::NODE_PAREN => true,
            SyntaxKind::NODE_LET_IN | SyntaxKind::NODE_WITH | SyntaxKind::NODE_ASSERT => {
                parent.children().last().as_ref() == Some(&node)
            }
            _ => false,
        };
        if !through {
            return false;
        }
        node = parent;
    }
    false
}

fn is_workflow_set(set: &SyntaxNode) -> bool {
    let names = set.children().filter_map(|e| path_names(&e)).filter_map(|n| n.into_iter().next());
    set.kind() == SyntaxKind::NODE_ATTR_SET && is_at_root(set) && names.into_iter().any(|n| n == "jobs")
}
