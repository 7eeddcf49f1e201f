"""The command line: ``calc EXPRESSION``."""

import sys

from .evaluate import CalcError, evaluate


def main(argv=None):
    """Print the value of the expression given as arguments."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        print(evaluate(" ".join(arguments)))
    except CalcError as error:
        sys.exit(f"calc: {error}")
