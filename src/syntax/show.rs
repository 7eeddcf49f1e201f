//! Expressions as `nix-instantiate --parse` prints them, with the desugaring visible.

use super::ast::*;
use crate::base::symbol::Symbol;

/// The expression as Nix shows it. Relative paths are taken from `base`.
pub fn show(expr: &Expr<'_>, base: &[u8]) -> Vec<u8> {
    let mut printer = Printer { out: Vec::new(), base };
    printer.expr(expr);
    printer.out
}

/// An absolute path without `.`, `..`, and doubled or trailing slashes, of a path that is taken
/// from `base` if it is relative.
pub fn canonical_path(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(base.len() + path.len() + 1);
    let base = if path.first() == Some(&b'/') { b"" } else { base };
    for component in base.split(|&c| c == b'/').chain(path.split(|&c| c == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => out.truncate(memchr::memrchr(b'/', &out).unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(component);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// The literal part of a path before its first hole, made absolute; a slash at its end is kept.
pub fn canonical_prefix(base: &[u8], literal: &[u8]) -> Vec<u8> {
    let mut out = canonical_path(base, literal);
    if literal.len() > 1 && literal.ends_with(b"/") {
        out.push(b'/');
    }
    out
}

struct Printer<'b> {
    out: Vec<u8>,
    base: &'b [u8],
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn expr(&mut self, expr: &Expr<'_>) {
        match &expr.kind {
            ExprKind::Int(n) => self.text(&n.to_string()),
            ExprKind::Float(x) => self.text(&six_digits(*x)),
            ExprKind::Str(text) => self.string(text),
            ExprKind::Interp(parts) | ExprKind::InterpPath(parts) => self.joined(parts),
            ExprKind::Path(literal) => {
                let path = canonical_prefix(self.base, literal);
                self.out.extend_from_slice(&path);
            }
            ExprKind::HomePath(rest) => {
                self.text("~");
                self.out.extend_from_slice(rest);
            }
            ExprKind::SearchPath(_) | ExprKind::Neg(_) | ExprKind::Call(..) => self.call(expr),
            ExprKind::Var(name) => self.out.extend_from_slice(name.name()),
            ExprKind::CurPos => self.text("__curPos"),
            ExprKind::List(items) => {
                self.text("[ ");
                for item in *items {
                    self.text("(");
                    self.expr(item);
                    self.text(") ");
                }
                self.text("]");
            }
            ExprKind::Attrs(set) => {
                self.text(if set.recursive { "rec { " } else { "{ " });
                self.bindings(set);
                self.text("}");
            }
            ExprKind::Let(set, body) => {
                self.text("(let ");
                self.bindings(set);
                self.text("in ");
                self.expr(body);
                self.text(")");
            }
            ExprKind::With(subject, body) => self.sandwich(&[("(with ", subject), ("; ", body)], ")"),
            ExprKind::Assert(condition, body) => {
                self.sandwich(&[("assert ", condition), ("; ", body)], "");
            }
            ExprKind::If(c, a, b) => {
                self.sandwich(&[("(if ", c), (" then ", a), (" else ", b)], ")");
            }
            ExprKind::Lambda(lambda) => self.lambda(lambda),
            ExprKind::Select { base, path, default } => {
                self.sandwich(&[("(", base)], ").");
                self.path(path);
                if let Some(default) = default {
                    self.sandwich(&[(" or (", default)], ")");
                }
            }
            ExprKind::HasAttr(base, path) => {
                self.sandwich(&[("((", base)], ") ? ");
                self.path(path);
                self.text(")");
            }
            ExprKind::Not(e) => self.sandwich(&[("(! ", e)], ")"),
            ExprKind::Binary(op, a, b) => self.binary(expr, *op, a, b),
        }
    }

    fn sandwich(&mut self, parts: &[(&str, &Expr<'_>)], end: &str) {
        for (before, e) in parts {
            self.text(before);
            self.expr(e);
        }
        self.text(end);
    }

    fn joined(&mut self, parts: &[&Expr<'_>]) {
        for (i, part) in parts.iter().enumerate() {
            self.text(if i == 0 { "(" } else { " + " });
            self.expr(part);
        }
        self.text(")");
    }

    fn binary(&mut self, whole: &Expr<'_>, op: BinOp, a: &Expr<'_>, b: &Expr<'_>) {
        let sign = match op {
            BinOp::Implies => " -> ",
            BinOp::Or => " || ",
            BinOp::And => " && ",
            BinOp::Eq => " == ",
            BinOp::Ne => " != ",
            BinOp::Update => " // ",
            BinOp::Add => " + ",
            BinOp::Concat => " ++ ",
            BinOp::Le => return self.sandwich(&[("(! (__lessThan ", b), (" ", a)], "))"),
            BinOp::Ge => return self.sandwich(&[("(! (__lessThan ", a), (" ", b)], "))"),
            BinOp::Lt | BinOp::Gt | BinOp::Sub | BinOp::Mul | BinOp::Div => return self.call(whole),
        };
        self.sandwich(&[("(", a), (sign, b)], ")");
    }

    fn call(&mut self, expr: &Expr<'_>) {
        self.text("(");
        self.call_inside(expr);
        self.text(")");
    }

    /// A call without its parentheses: one more argument of a call stands beside the others.
    fn call_inside(&mut self, expr: &Expr<'_>) {
        match &expr.kind {
            ExprKind::Call(function, arguments) => {
                self.call_inside(function);
                for argument in *arguments {
                    self.sandwich(&[(" ", argument)], "");
                }
            }
            ExprKind::SearchPath(path) => {
                self.text("__findFile __nixPath ");
                self.string(path);
            }
            ExprKind::Neg(e) => self.sandwich(&[("__sub 0 ", e)], ""),
            ExprKind::Binary(BinOp::Sub, a, b) => self.sandwich(&[("__sub ", a), (" ", b)], ""),
            ExprKind::Binary(BinOp::Mul, a, b) => self.sandwich(&[("__mul ", a), (" ", b)], ""),
            ExprKind::Binary(BinOp::Div, a, b) => self.sandwich(&[("__div ", a), (" ", b)], ""),
            ExprKind::Binary(BinOp::Lt, a, b) => self.sandwich(&[("__lessThan ", a), (" ", b)], ""),
            ExprKind::Binary(BinOp::Gt, a, b) => self.sandwich(&[("__lessThan ", b), (" ", a)], ""),
            _ => self.expr(expr),
        }
    }

    fn lambda(&mut self, lambda: &Lambda<'_>) {
        self.text("(");
        if let Some(pattern) = &lambda.pattern {
            self.text("{ ");
            let mut formals: Vec<_> = pattern.formals.iter().collect();
            formals.sort_by_key(|f| f.name.symbol.name());
            for (i, formal) in formals.iter().enumerate() {
                self.text(if i > 0 { ", " } else { "" });
                self.out.extend_from_slice(formal.name.symbol.name());
                if let Some(default) = formal.default {
                    self.sandwich(&[(" ? ", default)], "");
                }
            }
            if pattern.ellipsis {
                self.text(if formals.is_empty() { "..." } else { ", ..." });
            }
            self.text(if lambda.name.is_some() { " } @ " } else { " }" });
        }
        if let Some(name) = lambda.name {
            self.out.extend_from_slice(name.symbol.name());
        }
        self.sandwich(&[(": ", lambda.body)], ")");
    }

    fn bindings(&mut self, set: &AttrSet<'_>) {
        let mut sorted: Vec<_> = set.attrs.iter().collect();
        sorted.sort_by_key(|a| a.name.symbol.name());
        let plain = |a: &&&Attr<'_>| matches!(a.value, AttrValue::Inherit);
        if sorted.iter().any(|a| plain(&a)) {
            self.text("inherit");
            self.names(sorted.iter().filter(plain).map(|a| a.name.symbol));
        }
        for (i, subject) in set.inherit_from.iter().enumerate() {
            let from = |a: &&&Attr<'_>| matches!(a.value, AttrValue::InheritFrom(n) if n as usize == i);
            if sorted.iter().any(|a| from(&a)) {
                self.sandwich(&[("inherit (", subject)], ")");
                self.names(sorted.iter().filter(from).map(|a| a.name.symbol));
            }
        }
        for attr in &sorted {
            if let AttrValue::Expr(value) = attr.value {
                self.symbol(attr.name.symbol);
                self.sandwich(&[(" = ", value)], "; ");
            }
        }
        for attr in set.dynamic {
            self.sandwich(&[("\"${", attr.name), ("}\" = ", attr.value)], "; ");
        }
    }

    fn names(&mut self, names: impl Iterator<Item = Symbol>) {
        for name in names {
            self.text(" ");
            self.symbol(name);
        }
        self.text("; ");
    }

    fn path(&mut self, path: &[AttrName<'_>]) {
        for (i, name) in path.iter().enumerate() {
            self.text(if i > 0 { "." } else { "" });
            match name {
                AttrName::Static(name) => self.symbol(name.symbol),
                AttrName::Dynamic(e) => self.sandwich(&[("\"${", e)], "}\""),
            }
        }
    }

    fn symbol(&mut self, symbol: Symbol) {
        let name = symbol.name();
        if is_identifier(name) { self.out.extend_from_slice(name) } else { self.string(name) }
    }

    fn string(&mut self, text: &[u8]) {
        write_string(&mut self.out, text);
    }
}

/// Writes a string literal that means these bytes.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for (i, &c) in text.iter().enumerate() {
        match c {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', c]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'$' if text.get(i + 1) == Some(&b'{') => out.extend_from_slice(b"\\$"),
            _ => out.push(c),
        }
    }
    out.push(b'"');
}

/// Whether a name can be written without quotes.
pub fn is_identifier(name: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 9] =
        [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];
    let rest = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'\'' | b'-');
    name.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_')
        && name.iter().all(rest)
        && !KEYWORDS.contains(&name)
}

/// A float with six significant digits, as C's `%g` prints it.
fn six_digits(x: f64) -> String {
    if x == 0.0 {
        return if x.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{x:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => s.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        return trim(&format!("{x:.*}", (5 - exponent).max(0) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}
