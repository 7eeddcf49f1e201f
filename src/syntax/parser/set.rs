//! Bindings of sets and `let`.

use super::merge::Merger;
use super::*;

/// A binding as it is written.
#[derive(Clone, Copy)]
pub(super) enum RawBinding<'a> {
    /// `name = value;`, and what `inherit` binds.
    One(Attr<'a>),
    /// `a.b = value;` and computed names. The span is that of the path.
    Path(&'a [AttrName<'a>], Span, ExprRef<'a>),
}

impl<'a> Parser<'a> {
    /// The bindings up to the token `until`, which is not consumed; `first` is a name already
    /// consumed, `open` the place the construct begins.
    pub(super) fn bindings(
        &mut self,
        until: Tok,
        recursive: bool,
        first: Option<Name>,
        open: Span,
    ) -> Parse<&'a AttrSet<'a>> {
        let mark = self.bindings.len();
        let from_mark = self.exprs.len();
        if let Some(name) = first {
            self.binding(AttrName::Static(name), name.span.start)?;
        }
        while self.tok != until {
            match self.tok {
                Tok::Id | Tok::Or | Tok::Quote | Tok::Hole => {
                    let start = self.span.start;
                    let name = self.attr_name()?;
                    self.binding(name, start)?;
                }
                Tok::Inherit => self.inherit(from_mark)?,
                _ => {
                    let expected = if until == Tok::In { "'in' or 'inherit'" } else { "'inherit'" };
                    return self.unexpected_in(expected, Context::Open(open));
                }
            }
        }
        let inherit_from = self.take_exprs(from_mark);
        let set = self.merge(mark, recursive, inherit_from)?;
        self.bindings.truncate(mark);
        Ok(set)
    }

    /// A binding after the first name of its path, which begins at `start`.
    fn binding(&mut self, first: AttrName<'a>, start: u32) -> Parse<()> {
        let path = match self.tok {
            Tok::Dot => self.attr_path_from(first)?,
            _ => &[],
        };
        let span = Span::new(start, self.prev_end);
        if self.tok != Tok::Assign {
            return self.unexpected("'.' or '='");
        }
        self.bump();
        // Every component is a set around the value.
        let levels = path.len() as u32;
        self.depth = self.depth.saturating_add(levels);
        let value = self.expr()?;
        self.depth -= levels;
        let whole = Span::new(start, self.prev_end);
        self.expect(Tok::Semicolon, Context::Binding(whole))?;
        self.bindings.push(match first {
            AttrName::Static(name) if path.is_empty() => {
                RawBinding::One(Attr { name, value: AttrValue::Expr(value) })
            }
            _ if path.is_empty() => RawBinding::Path(self.arena.alloc_slice_copy(&[first]), span, value),
            _ => RawBinding::Path(path, span, value),
        });
        Ok(())
    }

    fn inherit(&mut self, from_mark: usize) -> Parse<()> {
        let start = self.span;
        self.bump();
        let value = match self.tok {
            Tok::ParenOpen => {
                let open = self.span;
                self.bump();
                let subject = self.expr()?;
                self.expect(Tok::ParenClose, Context::Open(open))?;
                self.exprs.push(subject);
                AttrValue::InheritFrom((self.exprs.len() - from_mark - 1) as u32)
            }
            _ => AttrValue::Inherit,
        };
        while self.tok != Tok::Semicolon {
            if !matches!(self.tok, Tok::Id | Tok::Or | Tok::Quote | Tok::Hole) {
                return self.unexpected_in("", Context::Binding(start));
            }
            match self.attr_name()? {
                AttrName::Static(name) => self.bindings.push(RawBinding::One(Attr { name, value })),
                AttrName::Dynamic(e) => return self.fail(e.span, Problem::DynamicInInherit),
            }
        }
        self.bump();
        Ok(())
    }

    /// The set of the bindings read since the stack stood at `mark`.
    fn merge(
        &mut self,
        mark: usize,
        recursive: bool,
        inherit_from: &'a [ExprRef<'a>],
    ) -> Parse<&'a AttrSet<'a>> {
        let raw = &self.bindings[mark..];
        if let Some(attrs) = self.simple_attrs(raw) {
            let set = AttrSet { recursive, attrs, inherit_from, dynamic: &[] };
            return Ok(self.arena.alloc(set));
        }
        let mut merger = Merger::new(recursive, inherit_from);
        for &binding in raw {
            let added = match binding {
                RawBinding::One(attr) => merger.add_one(attr),
                RawBinding::Path(path, span, value) => merger.add_path(path, span, value),
            };
            if let Err(clash) = added {
                let problem = Problem::DuplicateAttr { name: clash.path, first: clash.first };
                return self.fail(clash.second, problem);
            }
        }
        Ok(merger.finish(self.arena))
    }

    /// The bindings sorted, if there is nothing to merge.
    fn simple_attrs(&self, raw: &[RawBinding<'a>]) -> Option<&'a [Attr<'a>]> {
        let ones = raw.iter().map(|b| match b {
            RawBinding::One(attr) => Ok(*attr),
            RawBinding::Path(..) => Err(()),
        });
        let attrs = self.arena.alloc_slice_try_fill_iter(ones).ok()?;
        attrs.sort_unstable_by_key(|a| a.name.symbol);
        let unique = attrs.windows(2).all(|w| w[0].name.symbol != w[1].name.symbol);
        unique.then_some(attrs)
    }
}
