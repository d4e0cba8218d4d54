"""How the terminal says things: durations, sizes, counts, marks and colours."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runner.events import JobFinished, Level, Result, StepFinished

Style = Literal["good", "bad", "warn", "note", "faint", "strong"]

RESET = "\x1b[0m"

_CODES: Mapping[Style, str] = {
    "good": "32",
    "bad": "31",
    "warn": "33",
    "note": "36",
    "faint": "2",
    "strong": "1",
}
MARKS: Mapping[Result, str] = {"success": "✓", "failure": "✗", "cancelled": "■", "skipped": "-"}
STYLES: Mapping[Result, Style] = {
    "success": "good",
    "failure": "bad",
    "cancelled": "warn",
    "skipped": "faint",
}
VERBS: Mapping[Result, str] = {
    "success": "succeeded",
    "failure": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}
LEVEL_STYLES: Mapping[Level, Style] = {
    "error": "bad",
    "warning": "warn",
    "notice": "note",
    "debug": "faint",
}
RUNNING_MARK = "●"
WAITING_MARK = "○"
PULL_MARK = "↓"


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours text, or leaves it alone where colour is not `on`."""

    on: bool

    def __call__(self, style: Style, text: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}{RESET}" if self.on and text else text


def duration(seconds: float) -> str:
    """`3.2 s`, `1m 05s` or `1h 02m`."""
    if round(seconds, 1) < 60:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    return f"{minutes // 60}h {minutes % 60:02}m"


def elapsed(seconds: float) -> str:
    """As `duration`, in whole seconds: a clock that ticks more often draws the eye."""
    return f"{max(int(seconds), 0)} s" if seconds < 60 else duration(int(seconds))


def size(count: int) -> str:
    """A number of bytes: `812 B`, `4.0 kB`, `45.1 MB`."""
    if count < 1000:
        return f"{count} B"
    amount = count / 1000
    for unit in ("kB", "MB"):
        if amount < 1000:
            return f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def counted(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def visible(text: str) -> str:
    """Text from a step or a file on one line, without what could move the cursor."""
    return "".join(letter for letter in " ".join(text.split()) if _is_visible(letter))


def visible_lines(text: str) -> list[str]:
    """As `visible`, with its lines and their indentation kept."""
    lines = text.expandtabs(4).splitlines()
    return ["".join(filter(_is_visible, line)).rstrip() for line in lines]


def cells(text: str) -> int:
    """Columns that uncoloured text takes on a screen."""
    return sum(_cells_of(letter) for letter in text)


def padded(text: str, width: int) -> str:
    """Text, filled with blanks to `width` columns."""
    return text + " " * (width - cells(text))


def shortened(text: str, width: int) -> str:
    """Text, cut to `width` columns with an ellipsis."""
    if cells(text) <= width:
        return text
    while cells(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def step_ending(step: StepFinished, seconds: float) -> str:
    """How a step went: `(3.2 s)`, or `failed with exit code 1 after 3.2 s (timeout)`."""
    reason = f" ({visible(step.reason)})" if step.reason else ""
    if step.outcome == "success":
        return f"({duration(seconds)})"
    if step.outcome == "skipped":
        return f"skipped{reason}"
    failed = step.outcome == "failure"
    code = f" with exit code {step.exit_code}" if failed and step.exit_code else ""
    ignored = " (continue-on-error)" if failed and step.conclusion == "success" else ""
    return f"{VERBS[step.outcome]}{code} after {duration(seconds)}{reason}{ignored}"


def job_ending(job: JobFinished, seconds: float | None) -> str:
    """How an attempt went: `succeeded in 3.2 s`, `failed after 3.2 s (lost)`, `skipped (...)`."""
    reason = f" ({visible(job.reason)})" if job.reason else ""
    if seconds is None:
        return f"{VERBS[job.result]}{reason}"
    joint = "in" if job.result == "success" else "after"
    return f"{VERBS[job.result]} {joint} {duration(seconds)}{reason}"


def _is_visible(letter: str) -> bool:
    # Controls, formats that reorder a line (bidi), surrogates, and separators that break it.
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or letter == "\u200d"


def _cells_of(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
