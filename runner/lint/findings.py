"""How a finding is made: its code decides whether it is an error or a warning."""

from collections.abc import Iterable, Mapping
from typing import Literal

from runner.errors import Position, Problem

#: Every code that a check may use, and how bad it is.
SEVERITIES: Mapping[str, Literal["error", "warning"]] = {
    "always-true": "warning",
    "duplicate-need": "warning",
    "expression": "error",
    "input-default": "error",
    "input-options": "error",
    "input-type": "error",
    "invalid-cron": "error",
    "invalid-matrix": "error",
    "invalid-shell": "error",
    "missing-input": "error",
    "missing-on": "error",
    "missing-secret": "error",
    "needs-cycle": "error",
    "never-matches": "warning",
    "never-runs": "warning",
    "no-start": "error",
    "not-available": "error",
    "not-callable": "error",
    "queue-and-cancel": "error",
    "script-injection": "warning",
    "self-need": "error",
    "undeclared-input": "error",
    "undeclared-secret": "error",
    "unknown-input": "error",
    "unknown-job": "error",
    "unknown-matrix-key": "error",
    "unknown-need": "error",
    "unknown-output": "error",
    "unknown-property": "warning",
    "unknown-step": "error",
    "unknown-step-id": "error",
}
#: References that GitHub evaluates to null instead of refusing the file: mistakes, but it runs.
NULL_AT_RUN_TIME = frozenset(
    {"unknown-input", "unknown-matrix-key", "unknown-need", "unknown-output", "unknown-step-id"}
)

_NOWHERE = Position("", 0, 0)


def by_position(problem: Problem) -> Position:
    """What to sort problems by; those without a place come first."""
    return problem.position or _NOWHERE


def finding(code: str, message: str, position: Position, hint: str = "") -> Problem:
    """A problem whose severity is the one listed for `code`."""
    return Problem(code, message, position, hint, SEVERITIES[code])


def one_of(choices: Iterable[str]) -> str:
    """The choices as a sentence part: `a`, `b`, `c`."""
    return ", ".join(f"`{choice}`" for choice in choices)
