//! The parser: recursive descent for constructs, precedence climbing for operators.

mod lint;
mod merge;
mod operand;
mod pattern;
mod set;
mod string;

use bumpalo::Bump;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::ast::*;
use super::error::{Context, ParseError, Problem};
use super::lexer::{Lexer, Tok};
use crate::base::symbol::Symbol;
use set::RawBinding;

pub use lint::{Lint, Lints};

/// How deeply expressions may be nested.
///
/// C++ Nix has no such limit and ends by overflowing its stack, in the parser's later passes or in
/// evaluation.
pub const MAX_DEPTH: u32 = 10_000;

/// Settings of the parser.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether `|>` and `<|` are accepted.
    pub pipes: bool,
    /// What is done about discouraged literals.
    pub lints: Lints,
}

/// Parses a text into `arena`. Needs a stack of some 20 MB for the deepest accepted texts.
pub fn parse<'a>(text: &'a [u8], arena: &'a Bump, options: Options) -> Result<&'a Expr<'a>, ParseError> {
    parse_warning(text, arena, options, |_| {})
}

/// [`parse`], telling `warn` of discouraged literals.
pub fn parse_warning<'a>(
    text: &'a [u8],
    arena: &'a Bump,
    options: Options,
    warn: impl FnMut(&ParseError),
) -> Result<&'a Expr<'a>, ParseError> {
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError { span: Span::default(), problem: Problem::TooLarge });
    }
    let mut parser = Parser::new(text, arena, options);
    parser.bump();
    let parsed = parser.expr().and_then(|e| match parser.tok {
        Tok::Eof => Ok(e),
        _ => parser.unexpected("end of file"),
    });
    parser.warnings.iter().for_each(warn);
    parsed.map_err(|Failed| {
        let at_start = ParseError { span: Span::default(), problem: Problem::TooLarge };
        parser.error.map_or(at_start, |e| *e)
    })
}

/// Parsing failed; the reason is in [`Parser::error`], so that results stay one word.
struct Failed;

type Parse<T> = Result<T, Failed>;
type ExprRef<'a> = &'a Expr<'a>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    arena: &'a Bump,
    options: Options,
    /// The current token, not yet consumed.
    tok: Tok,
    span: Span,
    /// End of the token consumed last.
    prev_end: u32,
    depth: u32,
    error: Option<Box<ParseError>>,
    warnings: Vec<ParseError>,
    symbols: HashMap<&'a [u8], Symbol, FxBuildHasher>,
    cur_pos: Symbol,
    or: Symbol,
    /// Operands of the lists, calls and strings being read, innermost last.
    exprs: Vec<ExprRef<'a>>,
    /// Bindings of the sets being read, innermost last.
    bindings: Vec<RawBinding<'a>>,
    scratch: Vec<u8>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], arena: &'a Bump, options: Options) -> Self {
        Parser {
            lexer: Lexer::new(text),
            arena,
            options,
            tok: Tok::Eof,
            span: Span::default(),
            prev_end: 0,
            depth: 0,
            error: None,
            warnings: Vec::new(),
            symbols: HashMap::with_hasher(FxBuildHasher),
            cur_pos: Symbol::intern("__curPos"),
            or: Symbol::intern("or"),
            exprs: Vec::new(),
            bindings: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Consumes the current token.
    #[inline]
    fn bump(&mut self) {
        self.prev_end = self.span.end;
        (self.tok, self.span) = self.lexer.token();
    }

    fn text(&self, span: Span) -> &'a [u8] {
        &self.lexer.text()[span.start as usize..span.end as usize]
    }

    #[inline]
    fn symbol(&mut self, name: &'a [u8]) -> Symbol {
        *self.symbols.entry(name).or_insert_with(|| Symbol::intern(name))
    }

    /// The current token as a name, consumed.
    #[inline]
    fn name(&mut self) -> Name {
        let span = self.span;
        let symbol = self.symbol(self.text(span));
        self.bump();
        Name { symbol, span }
    }

    #[inline]
    fn alloc(&self, start: u32, kind: ExprKind<'a>) -> ExprRef<'a> {
        self.arena.alloc(Expr { span: Span::new(start, self.prev_end), kind })
    }

    /// The operands read since the stack stood at `mark`, moved to the arena.
    fn take_exprs(&mut self, mark: usize) -> &'a [ExprRef<'a>] {
        let taken = self.arena.alloc_slice_copy(&self.exprs[mark..]);
        self.exprs.truncate(mark);
        taken
    }

    #[cold]
    fn fail<T>(&mut self, span: Span, problem: Problem) -> Parse<T> {
        self.error.get_or_insert(Box::new(ParseError { span, problem }));
        Err(Failed)
    }

    fn unexpected<T>(&mut self, expected: &'static str) -> Parse<T> {
        self.unexpected_in(expected, Context::Plain)
    }

    #[cold]
    fn unexpected_in<T>(&mut self, expected: &'static str, context: Context) -> Parse<T> {
        if matches!(self.tok, Tok::PipeFrom | Tok::PipeInto) && !self.options.pipes {
            return self.fail(self.span, Problem::PipesDisabled);
        }
        let found = self.tok.describe();
        self.fail(self.span, Problem::Unexpected { found, expected, context })
    }

    /// Consumes a token of this kind.
    #[inline]
    fn expect(&mut self, tok: Tok, context: Context) -> Parse<()> {
        if self.tok != tok {
            return self.unexpected_in(tok.describe(), context);
        }
        self.bump();
        Ok(())
    }

    #[inline]
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(self.span, Problem::TooDeep(MAX_DEPTH));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Any expression.
    fn expr(&mut self) -> Parse<ExprRef<'a>> {
        self.deeper(Self::function)
    }

    fn function(&mut self) -> Parse<ExprRef<'a>> {
        let start = self.span.start;
        match self.tok {
            Tok::Id => {
                let name = self.name();
                match self.tok {
                    Tok::Colon | Tok::At => self.named_function(name),
                    _ => {
                        let variable = self.variable(name);
                        self.pipes(Some(variable))
                    }
                }
            }
            Tok::BraceOpen => self.pattern_or_set(),
            Tok::Let => {
                let open = self.span;
                self.bump();
                if self.tok == Tok::BraceOpen {
                    let set = self.legacy_let(open)?;
                    return self.pipes(Some(set));
                }
                self.let_in(open)
            }
            Tok::With => {
                self.bump();
                let subject = self.expr()?;
                self.expect(Tok::Semicolon, Context::Plain)?;
                let body = self.expr()?;
                Ok(self.alloc(start, ExprKind::With(subject, body)))
            }
            Tok::Assert => {
                self.bump();
                let condition = self.expr()?;
                self.expect(Tok::Semicolon, Context::Plain)?;
                let body = self.expr()?;
                Ok(self.alloc(start, ExprKind::Assert(condition, body)))
            }
            Tok::If => self.conditional(),
            _ => self.pipes(None),
        }
    }

    fn conditional(&mut self) -> Parse<ExprRef<'a>> {
        let open = self.span;
        self.bump();
        let condition = self.expr()?;
        self.expect(Tok::Then, Context::Open(open))?;
        let first = self.expr()?;
        self.expect(Tok::Else, Context::Open(open))?;
        let second = self.expr()?;
        Ok(self.alloc(open.start, ExprKind::If(condition, first, second)))
    }

    fn let_in(&mut self, open: Span) -> Parse<ExprRef<'a>> {
        let bindings = self.bindings(Tok::In, true, None, open)?;
        if let Some(computed) = bindings.dynamic.first() {
            return self.fail(computed.span, Problem::DynamicInLet);
        }
        self.bump();
        let body = self.expr()?;
        Ok(self.alloc(open.start, ExprKind::Let(bindings, body)))
    }

    /// Operators and pipes. `first` is an operand already consumed.
    fn pipes(&mut self, first: Option<ExprRef<'a>>) -> Parse<ExprRef<'a>> {
        let start = first.map_or(self.span.start, |e| e.span.start);
        let mut left = self.operators(0, first)?;
        match self.tok {
            Tok::PipeFrom if self.options.pipes => {
                self.bump();
                let argument = self.deeper(Self::pipe_from)?;
                Ok(self.call(start, left, argument))
            }
            Tok::PipeInto if self.options.pipes => {
                while self.tok == Tok::PipeInto {
                    self.bump();
                    let function = self.operators(0, None)?;
                    left = self.call(start, function, left);
                }
                Ok(left)
            }
            _ => Ok(left),
        }
    }

    fn pipe_from(&mut self) -> Parse<ExprRef<'a>> {
        let start = self.span.start;
        let left = self.operators(0, None)?;
        if self.tok != Tok::PipeFrom {
            return Ok(left);
        }
        self.bump();
        let argument = self.deeper(Self::pipe_from)?;
        Ok(self.call(start, left, argument))
    }

    fn operators(&mut self, min: u8, first: Option<ExprRef<'a>>) -> Parse<ExprRef<'a>> {
        let start = first.map_or(self.span.start, |e| e.span.start);
        let mut left = match self.tok {
            Tok::Bang if first.is_none() => {
                self.bump();
                let operand = self.deeper(|p| p.operators(NOT, None))?;
                self.alloc(start, ExprKind::Not(operand))
            }
            Tok::Minus if first.is_none() => {
                self.bump();
                let operand = self.deeper(|p| p.operators(NEGATE, None))?;
                self.alloc(start, ExprKind::Neg(operand))
            }
            _ => self.application(first)?,
        };
        let mut not_again = u8::MAX;
        loop {
            let Some((level, assoc, op)) = infix(self.tok) else { return Ok(left) };
            if level < min {
                return Ok(left);
            }
            if level == not_again {
                return self.unexpected("");
            }
            self.bump();
            let kind = match op {
                Some(op) => {
                    let right = match assoc {
                        Assoc::Right => self.deeper(|p| p.operators(level, None))?,
                        _ => self.operators(level + 1, None)?,
                    };
                    ExprKind::Binary(op, left, right)
                }
                None => ExprKind::HasAttr(left, self.attr_path()?),
            };
            not_again = if assoc == Assoc::None { level } else { u8::MAX };
            left = self.alloc(start, kind);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Assoc {
    Left,
    Right,
    None,
}

const NOT: u8 = 7;
const NEGATE: u8 = 12;

/// Level, associativity and operator of an infix token; no operator for `?`, whose right side is
/// an attribute path.
#[inline]
fn infix(tok: Tok) -> Option<(u8, Assoc, Option<BinOp>)> {
    let (level, assoc, op) = match tok {
        Tok::Implies => (1, Assoc::Right, BinOp::Implies),
        Tok::OrOr => (2, Assoc::Left, BinOp::Or),
        Tok::AndAnd => (3, Assoc::Left, BinOp::And),
        Tok::Eq => (4, Assoc::None, BinOp::Eq),
        Tok::Ne => (4, Assoc::None, BinOp::Ne),
        Tok::Lt => (5, Assoc::None, BinOp::Lt),
        Tok::Gt => (5, Assoc::None, BinOp::Gt),
        Tok::Le => (5, Assoc::None, BinOp::Le),
        Tok::Ge => (5, Assoc::None, BinOp::Ge),
        Tok::Update => (6, Assoc::Right, BinOp::Update),
        Tok::Plus => (8, Assoc::Left, BinOp::Add),
        Tok::Minus => (8, Assoc::Left, BinOp::Sub),
        Tok::Star => (9, Assoc::Left, BinOp::Mul),
        Tok::Slash => (9, Assoc::Left, BinOp::Div),
        Tok::Concat => (10, Assoc::Right, BinOp::Concat),
        Tok::Question => return Some((11, Assoc::Left, None)),
        _ => return None,
    };
    Some((level, assoc, Some(op)))
}

#[cfg(test)]
mod tests;
