//! Conditions: what the status functions say, and the text of an expression.

use crate::workflow::plan::{Condition, StatusExpr};

/// What the status functions say at some point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `success()`
    pub success: bool,
    /// `failure()`
    pub failure: bool,
    /// `cancelled()`
    pub cancelled: bool,
}

/// What a condition says as far as the status decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// The script decides.
    Ask(&'a str),
}

/// Decides a condition.
pub fn decide(condition: &Condition, status: Status) -> Verdict<'_> {
    let holds = match condition {
        Condition::Success => status.success,
        Condition::Expr(expr) => holds(expr, status),
        Condition::Script(script) if status.success => return Verdict::Ask(script),
        Condition::Script(_) => false,
    };
    if holds { Verdict::Yes } else { Verdict::No }
}

fn holds(expr: &StatusExpr, status: Status) -> bool {
    match expr {
        StatusExpr::Success => status.success,
        StatusExpr::Failure => status.failure,
        StatusExpr::Always => true,
        StatusExpr::Cancelled => status.cancelled,
        StatusExpr::Not(e) => !holds(e, status),
        StatusExpr::And(a, b) => holds(a, status) && holds(b, status),
        StatusExpr::Or(a, b) => holds(a, status) || holds(b, status),
    }
}

/// The part of a condition that status functions decide, as text.
pub fn status_text(condition: &Condition) -> String {
    match condition {
        Condition::Success | Condition::Script(_) => "success()".to_owned(),
        Condition::Expr(expr) => {
            let mut out = String::new();
            write_expr(expr, 0, &mut out);
            out
        }
    }
}

/// Writes an expression, with parentheses only where `level` (0 `||`, 1 `&&`, 2 `!`) needs them.
fn write_expr(expr: &StatusExpr, level: u8, out: &mut String) {
    let (own, operator, a, b) = match expr {
        StatusExpr::Success => return out.push_str("success()"),
        StatusExpr::Failure => return out.push_str("failure()"),
        StatusExpr::Always => return out.push_str("always()"),
        StatusExpr::Cancelled => return out.push_str("cancelled()"),
        StatusExpr::Not(e) => {
            out.push('!');
            return write_expr(e, 2, out);
        }
        StatusExpr::And(a, b) => (1, " && ", a, b),
        StatusExpr::Or(a, b) => (0, " || ", a, b),
    };
    if own < level {
        out.push('(');
    }
    write_expr(a, own, out);
    out.push_str(operator);
    write_expr(b, own, out);
    if own < level {
        out.push(')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_only_needed_parentheses() {
        let or = || StatusExpr::Or(Box::new(StatusExpr::Failure), Box::new(StatusExpr::Cancelled));
        let and = StatusExpr::And(Box::new(StatusExpr::Not(Box::new(or()))), Box::new(or()));
        let text = status_text(&Condition::Expr(and));
        assert_eq!(text, "!(failure() || cancelled()) && (failure() || cancelled())");
    }

    #[test]
    fn script_is_asked_only_under_success() {
        let condition = Condition::Script("test -f x".into());
        let status = |success| Status { success, failure: !success, cancelled: false };
        assert_eq!(decide(&condition, status(true)), Verdict::Ask("test -f x"));
        assert_eq!(decide(&condition, status(false)), Verdict::No);
    }
}
