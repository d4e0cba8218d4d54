"""One root for every error; each knows its exit code and, where it has one, its position."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

EXIT_SUCCESS = 0
EXIT_RUN_FAILED = 1
EXIT_INVALID = 2
EXIT_BUG = 3
EXIT_ENVIRONMENT = 4
EXIT_CANCELLED = 130


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file: line and column count from 1, in characters; `length` is what to underline."""

    file: str
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a file: a stable `code`, what is wrong, where, and what to do about it."""

    code: str
    message: str
    position: Position | None = None
    hint: str = ""
    severity: Literal["error", "warning"] = "error"


class PipeError(Exception):
    """Something went wrong that we did not expect: a bug of ours."""

    exit_code: ClassVar[int] = EXIT_BUG

    def __init__(self, message: str, *, hint: str = "", position: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.position = position


class InvalidInputError(PipeError):
    """The user's input (usage, pipeline, configuration) is invalid; `problems` lists all of it."""

    exit_code: ClassVar[int] = EXIT_INVALID

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        position: Position | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message, hint=hint, position=position)
        self.problems = tuple(problems) or (
            Problem("invalid-input", message, position=position, hint=hint),
        )


class RefusedError(PipeError):
    """What was asked for is valid, but may not be done now; `hint` says when, or who can allow it."""

    exit_code: ClassVar[int] = EXIT_RUN_FAILED


class EnvironmentMissingError(PipeError):
    """The machine lacks something that a run needs; `hint` says what to do about it."""

    exit_code: ClassVar[int] = EXIT_ENVIRONMENT


# -- the words of messages --

#: Comparing a name with more others than this takes longer than a hint is worth.
_MOST_CHOICES = 200
_LONGEST_QUOTE = 40


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A hint that names the choice nearest to `name`, or nothing when none is near."""
    near = nearest(name, choices)
    return f"did you mean `{near}`?" if near else ""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that `name` most likely stands for, case ignored; empty when none is near."""
    import difflib  # most commands never need it

    spelled = {choice.lower(): choice for choice in islice(choices, _MOST_CHOICES + 1)}
    if len(spelled) > _MOST_CHOICES:
        return ""
    near = difflib.get_close_matches(name.lower(), spelled, n=1)
    return spelled[near[0]] if near else ""


def quoted(text: str) -> str:
    """The text as messages show it: its first line in backticks, shortened when it is long."""
    line = text.partition("\n")[0]
    return f"`{line if len(line) <= _LONGEST_QUOTE else line[: _LONGEST_QUOTE - 3] + '...'}`"


def told(error: PipeError) -> list[str]:
    """All that is wrong, a line each, with its place and what to do about it."""
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    return [_told(each) for each in problems or (error,)]


def _told(problem: Problem | PipeError) -> str:
    place = f"{problem.position}: " if problem.position else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{place}{problem.message}{hint}"
