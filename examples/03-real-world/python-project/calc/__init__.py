"""A calculator for expressions such as ``6 * (3 + 4)``."""

from .evaluate import CalcError, evaluate

__all__ = ["CalcError", "evaluate"]
