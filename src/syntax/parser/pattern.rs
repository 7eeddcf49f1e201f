//! Functions and their patterns.

use super::*;

impl<'a> Parser<'a> {
    /// `name: body` and `name @ { … }: body`, after the name.
    pub(super) fn named_function(&mut self, name: Name) -> Parse<ExprRef<'a>> {
        let pattern = match self.tok {
            Tok::At => {
                self.bump();
                if self.tok != Tok::BraceOpen {
                    return self.unexpected("'{'");
                }
                let open = self.span;
                self.bump();
                Some(self.pattern(open, None)?)
            }
            _ => None,
        };
        self.function_rest(name.span.start, Some(name), pattern)
    }

    /// What an opening brace begins where a function may stand: a pattern or a set.
    pub(super) fn pattern_or_set(&mut self) -> Parse<ExprRef<'a>> {
        let open = self.span;
        self.bump();
        match self.tok {
            Tok::BraceClose => {
                self.bump();
                if matches!(self.tok, Tok::Colon | Tok::At) {
                    let pattern = Pattern { formals: &[], ellipsis: false };
                    return self.pattern_function(open, pattern);
                }
                let empty = AttrSet { recursive: false, attrs: &[], inherit_from: &[], dynamic: &[] };
                let set = self.alloc(open.start, ExprKind::Attrs(self.arena.alloc(empty)));
                return self.pipes(Some(set));
            }
            Tok::Ellipsis => {
                let pattern = self.pattern(open, None)?;
                return self.pattern_function(open, pattern);
            }
            Tok::Id => {
                let name = self.name();
                if matches!(self.tok, Tok::Comma | Tok::Question | Tok::BraceClose) {
                    let pattern = self.pattern(open, Some(name))?;
                    return self.pattern_function(open, pattern);
                }
                let set = self.set(open, Some(name))?;
                return self.pipes(Some(set));
            }
            _ => {}
        }
        let set = self.set(open, None)?;
        self.pipes(Some(set))
    }

    fn pattern_function(&mut self, open: Span, pattern: Pattern<'a>) -> Parse<ExprRef<'a>> {
        let name = match self.tok {
            Tok::At => {
                self.bump();
                if self.tok != Tok::Id {
                    return self.unexpected("identifier");
                }
                Some(self.name())
            }
            Tok::Colon => None,
            _ => return self.unexpected("':' or '@'"),
        };
        self.function_rest(open.start, name, Some(pattern))
    }

    fn function_rest(
        &mut self,
        start: u32,
        name: Option<Name>,
        pattern: Option<Pattern<'a>>,
    ) -> Parse<ExprRef<'a>> {
        self.expect(Tok::Colon, Context::Plain)?;
        if let Some(pattern) = &pattern {
            self.check_formals(pattern, name)?;
        }
        let body = self.expr()?;
        let lambda = self.arena.alloc(Lambda { name, pattern, body });
        Ok(self.alloc(start, ExprKind::Lambda(lambda)))
    }

    /// The formals up to and with the closing brace; `first` is a name already consumed.
    fn pattern(&mut self, open: Span, first: Option<Name>) -> Parse<Pattern<'a>> {
        let mut formals = Vec::new();
        let mut first = first;
        let mut ellipsis = false;
        loop {
            let name = match (first.take(), self.tok) {
                (Some(name), _) => name,
                (None, Tok::Id) => self.name(),
                (None, Tok::Ellipsis) => {
                    self.bump();
                    ellipsis = true;
                    break;
                }
                (None, Tok::BraceClose) => break,
                _ => return self.unexpected_in("identifier or '...' or '}'", Context::Open(open)),
            };
            let default = match self.tok {
                Tok::Question => {
                    self.bump();
                    Some(self.expr()?)
                }
                _ => None,
            };
            formals.push(Formal { name, default });
            match self.tok {
                Tok::Comma => self.bump(),
                Tok::BraceClose => break,
                _ => return self.unexpected_in("'}' or ','", Context::Open(open)),
            }
        }
        self.expect(Tok::BraceClose, Context::Open(open))?;
        Ok(Pattern { formals: self.arena.alloc_slice_copy(&formals), ellipsis })
    }

    fn check_formals(&mut self, pattern: &Pattern<'a>, at: Option<Name>) -> Parse<()> {
        let mut names: Vec<Name> = pattern.formals.iter().map(|f| f.name).collect();
        names.sort_unstable_by_key(|n| (n.symbol, n.span));
        let twice = names.windows(2).filter(|w| w[0].symbol == w[1].symbol).map(|w| w[1]);
        let clash = at.filter(|at| names.iter().any(|n| n.symbol == at.symbol));
        match twice.min_by_key(|n| n.span).or(clash) {
            Some(name) => self.fail(name.span, Problem::DuplicateFormal(name.symbol.text().into_owned())),
            None => Ok(()),
        }
    }
}
