"""How a finding is made: the rule for its code decides whether it is an error or a warning."""

from collections.abc import Iterable

from runner.errors import Position, Problem
from runner.lint.rules import RULES

#: References that GitHub evaluates to null instead of refusing the file: mistakes, but it runs.
NULL_AT_RUN_TIME = frozenset(
    {"unknown-input", "unknown-matrix-key", "unknown-need", "unknown-output", "unknown-step-id"}
)

_NOWHERE = Position("", 0, 0)


def by_position(problem: Problem) -> Position:
    """What to sort problems by; those without a place come first."""
    return problem.position or _NOWHERE


def finding(code: str, message: str, position: Position, hint: str = "") -> Problem:
    """A problem whose severity is the one that the rule for `code` has."""
    return Problem(code, message, position, hint, RULES[code].severity)


def one_of(choices: Iterable[str]) -> str:
    """The choices as a sentence part: `a`, `b`, `c`."""
    return ", ".join(f"`{choice}`" for choice in choices)
