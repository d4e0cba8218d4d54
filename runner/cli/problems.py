"""Problems as people read them (file, line, a caret under the place), and as programs do."""

import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import click

from runner.errors import InvalidInputError, PipeError, Position, Problem

#: Columns of a source line that are shown; a longer one is cut around the place.
WIDTH = 160
#: What stays visible to the left of the place in a line that is cut.
LEAD = 60
#: What makes a terminal show letters in another order than they stand in the file.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def render(problems: Iterable[Problem], texts: Mapping[str, str], color: bool) -> str:
    """The problems for a terminal, one block each; `texts` maps a position's file to its source.

    A file that is not in `texts` is named but not quoted. Ends without a newline.
    """
    lines = {file: text.split("\n") for file, text in texts.items() if text}
    return "\n".join(_block(problem, lines, color) for problem in problems)


def show(problems: Iterable[Problem]) -> None:
    """Print the problems to stderr, quoting the files that they are in as far as they exist."""
    found = tuple(problems)
    files = {problem.position.file for problem in found if problem.position}
    texts = {file: read_source(_find(file)) for file in files}
    if found:
        shown = render(found, texts, is_colored(sys.stderr))
        click.echo(tame(shown, os.environ), err=True)


def show_error(error: PipeError) -> None:
    """Print to stderr what keeps something from going on."""
    if isinstance(error, InvalidInputError) and _has_more_to_say(error):
        show(error.problems)
        return
    hint = f"\n  {error.hint}" if error.hint else ""
    text = f"error: {error.message}{hint}"
    # Only such a text can say anything to GitHub's runner.
    click.echo(tame(text, os.environ) if "::" in text or "##" in text else text, err=True)


def _has_more_to_say(error: InvalidInputError) -> bool:
    return len(error.problems) > 1 or any(each.position for each in error.problems)


def tame(text: str, environ: Mapping[str, str]) -> str:
    """The text, made harmless where GitHub's runner looks for commands in what we print."""
    from runner.terminal.github import harmless, is_inside

    return harmless(text) if is_inside(environ) else text


def read_source(path: Path) -> str:
    """The text of a file for quoting from it, whatever its bytes are; empty if it cannot be read."""
    try:
        return path.read_text("utf-8-sig", errors="replace")
    except OSError:
        return ""


def _find(file: str) -> Path:
    """Where a file is that is named from the project's root on, seen from anywhere within."""
    here = Path.cwd()
    candidates = (folder / file for folder in (here, *here.parents))
    return next((path for path in candidates if path.is_file()), Path(file))


def is_colored(stream: TextIO) -> bool:
    """Whether output to `stream` may have colors: a terminal, and nobody said otherwise."""
    return stream.isatty() and not (os.environ.get("NO_COLOR") or os.environ.get("CI"))


def to_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """The problems as JSON values: code, severity, message, hint, file, line, column, length.

    The last four are null for a problem without a position.
    """
    return [_entry(problem) for problem in problems]


def annotation(problem: Problem, file: str) -> str:
    """The problem as a command that makes GitHub show it beside its line."""
    from runner.terminal.github import command

    place = problem.position or Position(file, 0, 0, 0)
    return command(
        problem.severity,
        f"{problem.message}\n{problem.hint}".rstrip(),
        file=place.file,
        line=place.line,
        col=place.column,
        endColumn=place.column and place.column + max(place.length, 1),
        title=problem.code,
    )


def _entry(problem: Problem) -> dict[str, Any]:
    place = problem.position
    return {
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "length": place.length if place else None,
    }


def _block(problem: Problem, lines: Mapping[str, list[str]], color: bool) -> str:
    head = _head(problem, color)
    place = problem.position
    source = lines.get(place.file, []) if place else []
    if place is None or not 1 <= place.line <= len(source):
        return f"{head}\n      hint: {_visible(problem.hint)}" if problem.hint else head
    return "\n".join([head, *_excerpt(problem, place, source[place.line - 1], color)])


def _head(problem: Problem, color: bool) -> str:
    label = _paint(f"{problem.severity}[{problem.code}]", problem, color)
    place = f"{problem.position}: " if problem.position else ""
    return f"{place}{label}: {_visible(problem.message)}"


def _excerpt(problem: Problem, place: Position, line: str, color: bool) -> list[str]:
    shown, start = _window(_visible(line), place.column - 1)
    marked = shown[start : start + place.length]
    carets = _paint("^" * max(1, _width(marked)), problem, color)
    gap = "".join("\t" if letter == "\t" else " " * _width(letter) for letter in shown[:start])
    hint = f" {_visible(problem.hint)}" if problem.hint else ""
    return [f"{place.line:>5} | {shown}".rstrip(), f"      | {gap}{carets}{hint}"]


def _window(line: str, start: int) -> tuple[str, int]:
    if len(line) <= WIDTH:
        return line, start
    first = max(0, min(start - LEAD, len(line) - WIDTH))
    cut = line[first : first + WIDTH]
    head = "…" if first else ""
    tail = "…" if first + WIDTH < len(line) else ""
    return f"{head}{cut}{tail}", start - first + len(head)


def _width(text: str) -> int:
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _visible(text: str) -> str:
    """The text with each control character replaced: a file must not drive the terminal."""
    return "".join("\ufffd" if _is_control(letter) else letter for letter in text)


def _is_control(letter: str) -> bool:
    return letter in _REORDERING or (unicodedata.category(letter) == "Cc" and letter != "\t")


def _paint(text: str, problem: Problem, color: bool) -> str:
    shade = "red" if problem.severity == "error" else "yellow"
    return click.style(text, fg=shade, bold=True) if color else text
