"""Evaluates arithmetic expressions without running them as Python."""

import ast
import operator

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}

#: Larger exponents would take too long.
LARGEST_EXPONENT = 10_000


class CalcError(ValueError):
    """The expression cannot be evaluated."""


def evaluate(text):
    """Return the value of an arithmetic expression."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise CalcError(f"not an expression: {text!r}") from error
    return _value(tree.body)


def _value(node):
    """Return the value of one node of the expression."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) > LARGEST_EXPONENT:
            raise CalcError("the exponent is too large")
        try:
            return _BINARY[type(node.op)](left, right)
        except ZeroDivisionError as error:
            raise CalcError("division by zero") from error
    raise CalcError("only numbers and + - * / // % ** are known")
