//! Calls, selects, attribute paths and the operands of operators.

use super::*;

impl<'a> Parser<'a> {
    pub(super) fn variable(&self, name: Name) -> ExprRef<'a> {
        let kind = if name.symbol == self.cur_pos { ExprKind::CurPos } else { ExprKind::Var(name.symbol) };
        self.arena.alloc(Expr { span: name.span, kind })
    }

    /// `function argument`, where a function that is itself a call gets one more argument.
    pub(super) fn call(&mut self, start: u32, function: ExprRef<'a>, argument: ExprRef<'a>) -> ExprRef<'a> {
        let mark = self.exprs.len();
        self.exprs.push(argument);
        self.finish_call(start, function, mark)
    }

    fn finish_call(&mut self, start: u32, function: ExprRef<'a>, mark: usize) -> ExprRef<'a> {
        let (function, arguments) = match function.kind {
            ExprKind::Call(inner, earlier) => {
                let later = &self.exprs[mark..];
                let all = self.arena.alloc_slice_fill_iter(
                    (0..earlier.len() + later.len())
                        .map(|i| if i < earlier.len() { earlier[i] } else { later[i - earlier.len()] }),
                );
                self.exprs.truncate(mark);
                (inner, &*all)
            }
            _ => (function, self.take_exprs(mark)),
        };
        self.alloc(start, ExprKind::Call(function, arguments))
    }

    /// Function application: one or more selects.
    pub(super) fn application(&mut self, first: Option<ExprRef<'a>>) -> Parse<ExprRef<'a>> {
        let start = first.map_or(self.span.start, |e| e.span.start);
        let function = self.select(first)?;
        if !begins_operand(self.tok) {
            return Ok(function);
        }
        let mark = self.exprs.len();
        while begins_operand(self.tok) {
            let argument = self.select(None)?;
            self.exprs.push(argument);
        }
        Ok(self.finish_call(start, function, mark))
    }

    fn select(&mut self, first: Option<ExprRef<'a>>) -> Parse<ExprRef<'a>> {
        let start = first.map_or(self.span.start, |e| e.span.start);
        let base = match first {
            Some(e) => e,
            None => self.operand()?,
        };
        match self.tok {
            Tok::Dot => {
                self.bump();
                let path = self.attr_path()?;
                let default = match self.tok {
                    Tok::Or => {
                        self.bump();
                        Some(self.deeper(|p| p.select(None))?)
                    }
                    _ => None,
                };
                Ok(self.alloc(start, ExprKind::Select { base, path, default }))
            }
            // `f or` calls `f` with a variable of that name: Nixpkgs once had such a function.
            Tok::Or => {
                let or = Name { symbol: self.or, span: self.span };
                self.bump();
                let variable = self.variable(or);
                let arguments = self.arena.alloc_slice_copy(&[variable]);
                Ok(self.alloc(start, ExprKind::Call(base, arguments)))
            }
            _ => Ok(base),
        }
    }

    pub(super) fn attr_path(&mut self) -> Parse<&'a [AttrName<'a>]> {
        let first = self.attr_name()?;
        if self.tok != Tok::Dot {
            return Ok(self.arena.alloc_slice_copy(&[first]));
        }
        self.attr_path_from(first)
    }

    /// The rest of an attribute path, at its first dot.
    pub(super) fn attr_path_from(&mut self, first: AttrName<'a>) -> Parse<&'a [AttrName<'a>]> {
        let mut path = vec![first];
        while self.tok == Tok::Dot {
            self.bump();
            path.push(self.attr_name()?);
        }
        Ok(self.arena.alloc_slice_copy(&path))
    }

    pub(super) fn attr_name(&mut self) -> Parse<AttrName<'a>> {
        let start = self.span.start;
        let name = match self.tok {
            Tok::Id | Tok::Or => return Ok(AttrName::Static(self.name())),
            Tok::Quote => self.string()?,
            Tok::Hole => {
                let open = self.span;
                self.bump();
                let name = self.expr()?;
                self.expect(Tok::BraceClose, Context::Open(open))?;
                name
            }
            _ => return self.unexpected("identifier or 'or' or '${' or '\"'"),
        };
        let span = Span::new(start, self.prev_end);
        Ok(match name.kind {
            ExprKind::Str(bytes) => AttrName::Static(Name { symbol: self.symbol(bytes), span }),
            _ => AttrName::Dynamic(name),
        })
    }

    fn operand(&mut self) -> Parse<ExprRef<'a>> {
        let span = self.span;
        match self.tok {
            Tok::Id => {
                let name = self.name();
                Ok(self.variable(name))
            }
            Tok::Quote => self.string(),
            Tok::IndentedQuote => self.indented_string(),
            Tok::BraceOpen => {
                self.bump();
                self.set(span, None)
            }
            Tok::ParenOpen => {
                self.bump();
                let inner = self.expr()?;
                self.expect(Tok::ParenClose, Context::Open(span))?;
                Ok(inner)
            }
            Tok::BracketOpen => self.list(),
            Tok::Int | Tok::Float => self.number(),
            Tok::Path | Tok::HomePath => self.path(),
            Tok::SearchPath => {
                let inside = Span::new(span.start + 1, span.end - 1);
                self.literal(ExprKind::SearchPath(self.text(inside)))
            }
            Tok::Uri => {
                self.lint_literal()?;
                self.literal(ExprKind::Str(self.text(span)))
            }
            Tok::Rec => {
                self.bump();
                if self.tok != Tok::BraceOpen {
                    return self.unexpected("'{'");
                }
                let open = self.span;
                self.bump();
                let bindings = self.bindings(Tok::BraceClose, true, None, open)?;
                self.bump();
                Ok(self.alloc(span.start, ExprKind::Attrs(bindings)))
            }
            Tok::Let => {
                self.bump();
                if self.tok != Tok::BraceOpen {
                    return self.unexpected("'{'");
                }
                self.legacy_let(span)
            }
            _ => self.unexpected(""),
        }
    }

    fn literal(&mut self, kind: ExprKind<'a>) -> Parse<ExprRef<'a>> {
        let start = self.span.start;
        self.bump();
        Ok(self.alloc(start, kind))
    }

    fn list(&mut self) -> Parse<ExprRef<'a>> {
        let open = self.span;
        let mark = self.exprs.len();
        self.bump();
        while self.tok != Tok::BracketClose {
            if !begins_operand(self.tok) {
                return self.unexpected_in("", Context::Open(open));
            }
            let item = self.select(None)?;
            self.exprs.push(item);
        }
        self.bump();
        let items = self.take_exprs(mark);
        Ok(self.alloc(open.start, ExprKind::List(items)))
    }

    fn number(&mut self) -> Parse<ExprRef<'a>> {
        let text = String::from_utf8_lossy(self.text(self.span));
        if self.tok == Tok::Int {
            return match text.parse() {
                Ok(n) => self.literal(ExprKind::Int(n)),
                Err(_) => self.fail(self.span, Problem::InvalidInt(text.into_owned())),
            };
        }
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let is_zero = mantissa.bytes().all(|c| matches!(c, b'0' | b'.'));
        match text.parse::<f64>() {
            // The C library's strtod, which Nix uses, calls subnormal results out of range.
            Ok(x) if x.is_normal() || is_zero => self.literal(ExprKind::Float(x)),
            _ => self.fail(self.span, Problem::InvalidFloat(text.into_owned())),
        }
    }

    /// `let { …; body = e; }`, at the brace.
    pub(super) fn legacy_let(&mut self, open: Span) -> Parse<ExprRef<'a>> {
        let brace = self.span;
        self.bump();
        let bindings = self.bindings(Tok::BraceClose, true, None, brace)?;
        self.bump();
        let base = self.alloc(open.start, ExprKind::Attrs(bindings));
        let body = Name { symbol: self.symbol(b"body"), span: open };
        let path = self.arena.alloc_slice_copy(&[AttrName::Static(body)]);
        Ok(self.alloc(open.start, ExprKind::Select { base, path, default: None }))
    }

    /// The rest of a set that is not recursive, after its brace; `first` is a name already
    /// consumed.
    pub(super) fn set(&mut self, open: Span, first: Option<Name>) -> Parse<ExprRef<'a>> {
        let bindings = self.bindings(Tok::BraceClose, false, first, open)?;
        self.bump();
        Ok(self.alloc(open.start, ExprKind::Attrs(bindings)))
    }
}

#[inline]
fn begins_operand(tok: Tok) -> bool {
    matches!(
        tok,
        Tok::Id
            | Tok::Int
            | Tok::Float
            | Tok::Path
            | Tok::HomePath
            | Tok::SearchPath
            | Tok::Uri
            | Tok::Quote
            | Tok::IndentedQuote
            | Tok::ParenOpen
            | Tok::BracketOpen
            | Tok::BraceOpen
            | Tok::Rec
            | Tok::Let
    )
}
