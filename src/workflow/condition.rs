//! Conditions: expressions of status functions, or bash scripts.

use super::plan::{Condition, StatusExpr};

/// The status functions.
pub const FUNCTIONS: [&str; 4] = ["success", "failure", "always", "cancelled"];

/// Brackets and negations deeper than this are no condition anybody wrote.
const DEEPEST: usize = 200;

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Nothing but space.
    #[error("the condition is empty")]
    Empty,
    /// A call of something that is no status function.
    #[error("`{0}()` is not a status function")]
    UnknownFunction(String),
    /// An expression of status functions that does not parse.
    #[error("{0}")]
    Syntax(String),
    /// A status function in a script.
    #[error("status functions and a script cannot be mixed in one condition")]
    Mixed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Call(String),
    Not,
    And,
    Or,
    Open,
    Close,
}

impl Token {
    fn text(&self) -> String {
        match self {
            Token::Call(name) => format!("{name}()"),
            Token::Not => "!".into(),
            Token::And => "&&".into(),
            Token::Or => "||".into(),
            Token::Open => "(".into(),
            Token::Close => ")".into(),
        }
    }
}

/// The tokens of an expression; the rest of the text where something else begins.
fn tokens(text: &str) -> (Vec<Token>, &str) {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, len) = match c {
            '!' => (Token::Not, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '&' if rest.starts_with("&&") => (Token::And, 2),
            '|' if rest.starts_with("||") => (Token::Or, 2),
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                    .unwrap_or(rest.len());
                let after = rest[end..].trim_start();
                let Some(inside) = after.strip_prefix('(') else { return (out, rest) };
                let Some(after) = inside.trim_start().strip_prefix(')') else {
                    return (out, rest);
                };
                (Token::Call(rest[..end].to_string()), rest.len() - after.len())
            }
            _ => return (out, rest),
        };
        out.push(token);
        rest = rest[len..].trim_start();
    }
    (out, rest)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn eat(&mut self, t: &Token) -> bool {
        let hit = self.peek() == Some(t);
        self.at += usize::from(hit);
        hit
    }

    fn or(&mut self) -> Result<StatusExpr, ConditionError> {
        let mut left = self.and()?;
        while self.eat(&Token::Or) {
            left = StatusExpr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<StatusExpr, ConditionError> {
        let mut left = self.unary()?;
        while self.eat(&Token::And) {
            left = StatusExpr::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<StatusExpr, ConditionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ConditionError::Syntax("the condition is nested too deep".into()));
        }
        let e = self.unary_inner();
        self.depth -= 1;
        e
    }

    fn unary_inner(&mut self) -> Result<StatusExpr, ConditionError> {
        if self.eat(&Token::Not) {
            return Ok(StatusExpr::Not(Box::new(self.unary()?)));
        }
        if self.eat(&Token::Open) {
            let inner = self.or()?;
            if !self.eat(&Token::Close) {
                return Err(ConditionError::Syntax("a `)` is missing".into()));
            }
            return Ok(inner);
        }
        match self.peek().cloned() {
            Some(Token::Call(name)) => {
                self.at += 1;
                match name.as_str() {
                    "success" => Ok(StatusExpr::Success),
                    "failure" => Ok(StatusExpr::Failure),
                    "always" => Ok(StatusExpr::Always),
                    "cancelled" => Ok(StatusExpr::Cancelled),
                    _ => Err(ConditionError::UnknownFunction(name)),
                }
            }
            Some(t) => {
                Err(ConditionError::Syntax(format!("a status function was expected before `{}`", t.text())))
            }
            None => Err(ConditionError::Syntax("a status function is missing at the end".into())),
        }
    }
}

/// Whether an expression's operands and operators could have been meant: a subshell such as
/// `( )` or a lone `!` is left to bash.
fn has_call(tokens: &[Token]) -> bool {
    tokens.iter().any(|t| matches!(t, Token::Call(_)))
}

/// Reads a condition.
pub fn parse(text: &str) -> Result<Condition, ConditionError> {
    if text.trim().is_empty() {
        return Err(ConditionError::Empty);
    }
    let (tokens, rest) = tokens(text);
    if rest.is_empty() && has_call(&tokens) {
        let unknown = tokens.iter().find_map(|t| match t {
            Token::Call(name) if !FUNCTIONS.contains(&name.as_str()) => Some(name.clone()),
            _ => None,
        });
        if let Some(name) = unknown {
            return Err(ConditionError::UnknownFunction(name));
        }
        // Every operand costs a level at most, so a chain of operators cannot grow the tree
        // past what its readers can walk.
        if tokens.len() > 10 * DEEPEST {
            return Err(ConditionError::Syntax("the condition is too long".into()));
        }
        let mut p = Parser { tokens: &tokens, at: 0, depth: 0 };
        let e = p.or()?;
        if let Some(t) = p.peek() {
            return Err(ConditionError::Syntax(format!("`&&` or `||` was expected before `{}`", t.text())));
        }
        return Ok(if e == StatusExpr::Success { Condition::Success } else { Condition::Expr(e) });
    }
    // In bash a call cannot be followed by an operator, so this was meant as an expression.
    let known = |t: &Token| matches!(t, Token::Call(n) if FUNCTIONS.contains(&n.as_str()));
    let operator = |t: &Token| matches!(t, Token::And | Token::Or);
    if tokens.windows(2).any(|w| known(&w[0]) && operator(&w[1])) {
        return Err(ConditionError::Mixed);
    }
    Ok(Condition::Script(text.to_string()))
}

/// The value of an expression that is the same whatever happens; `None` when it depends.
pub fn constant(e: &StatusExpr) -> Option<bool> {
    let mut seen: Option<bool> = None;
    // Success and failure of what came before exclude each other; both may be false (skipped).
    for (success, failure, cancelled) in [
        (true, false, false),
        (false, true, false),
        (false, false, false),
        (true, false, true),
        (false, true, true),
        (false, false, true),
    ] {
        let v = eval(e, success, failure, cancelled);
        if *seen.get_or_insert(v) != v {
            return None;
        }
    }
    seen
}

/// Whether an expression can be true where nothing came before that could have failed.
pub fn possible_first(e: &StatusExpr) -> bool {
    eval(e, true, false, false) || eval(e, true, false, true)
}

/// Whether an expression can be true where a job before was skipped, so that `success()` is not.
pub fn holds_without_success(e: &StatusExpr, may_fail: bool) -> bool {
    let failures: &[bool] = if may_fail { &[false, true] } else { &[false] };
    failures.iter().any(|&f| eval(e, false, f, false) || eval(e, false, f, true))
}

fn eval(e: &StatusExpr, success: bool, failure: bool, cancelled: bool) -> bool {
    match e {
        StatusExpr::Success => success,
        StatusExpr::Failure => failure,
        StatusExpr::Always => true,
        StatusExpr::Cancelled => cancelled,
        StatusExpr::Not(a) => !eval(a, success, failure, cancelled),
        StatusExpr::And(a, b) => eval(a, success, failure, cancelled) && eval(b, success, failure, cancelled),
        StatusExpr::Or(a, b) => eval(a, success, failure, cancelled) || eval(b, success, failure, cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        assert_eq!(parse("success()"), Ok(Condition::Success));
        assert_eq!(parse(" always( ) "), Ok(Condition::Expr(StatusExpr::Always)));
        let Ok(Condition::Expr(e)) = parse("!cancelled() && (success() || failure())") else {
            panic!("not an expression")
        };
        assert!(matches!(e, StatusExpr::And(..)));
        assert_eq!(constant(&e), None);
        let Ok(Condition::Expr(e)) = parse("success() && failure()") else { panic!() };
        assert_eq!(constant(&e), Some(false));
    }

    #[test]
    fn mistakes() {
        assert_eq!(parse("sucess()"), Err(ConditionError::UnknownFunction("sucess".into())));
        assert_eq!(parse("always() || never()"), Err(ConditionError::UnknownFunction("never".into())));
        assert!(matches!(parse("success() &&"), Err(ConditionError::Syntax(_))));
        assert!(matches!(parse("(success()"), Err(ConditionError::Syntax(_))));
        assert!(matches!(parse("success() failure()"), Err(ConditionError::Syntax(_))));
        assert_eq!(parse("success() && [ -f x ]"), Err(ConditionError::Mixed));
        assert_eq!(parse("  "), Err(ConditionError::Empty));
        assert!(matches!(
            parse(&format!("{}success()", "!".repeat(100_000))),
            Err(ConditionError::Syntax(_))
        ));
    }

    #[test]
    fn scripts() {
        for s in ["[ -f x ]", "test \"$A\" = b", "true", "f() { true; }; f", "! grep -q x file"] {
            assert_eq!(parse(s), Ok(Condition::Script(s.to_string())), "{s}");
        }
    }
}
