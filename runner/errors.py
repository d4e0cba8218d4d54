"""One root for every error; each knows its exit code and, where it has one, its position."""

from collections.abc import Sequence
from dataclasses import dataclass
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


class EnvironmentMissingError(PipeError):
    """The machine lacks something that a run needs; `hint` says what to do about it."""

    exit_code: ClassVar[int] = EXIT_ENVIRONMENT


class CancelledError(PipeError):
    """Somebody asked to stop."""

    exit_code: ClassVar[int] = EXIT_CANCELLED
