"""YAML text to a `Document`: plain values by YAML 1.2's core rules, and a position for each."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from runner.errors import Position, Problem
from runner.source.document import Document
from runner.source.nodes import compose, refusal
from runner.source.positions import At, position
from runner.source.values import Reader

__all__ = ["Document", "load", "read"]

MAX_BYTES = 10_000_000

#: A file that is not text at all would otherwise give one problem for each of its bytes.
_MAX_CHARACTER_PROBLEMS = 20


def read(path: Path, name: str | None = None) -> Document:
    """Read the YAML file at `path`; `name` is what users see in messages, by default the path.

    Raises InvalidInputError when the file cannot be read, or as `load` does.
    """
    shown = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = Problem("unreadable-file", f"cannot read {shown}: {error.strerror}")
        raise refusal([problem]) from error
    return load(_decode(content, shown), shown)


def load(text: str, file: str) -> Document:
    """Read YAML text; `file` is what users see in messages.

    Raises InvalidInputError with every problem that could be found, each with its position.
    """
    if len(text) > MAX_BYTES:
        raise refusal([_too_large(file)])
    with _no_garbage_collection():
        return _load(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), file)


def _load(text: str, file: str) -> Document:
    starts = (0, *(match.end() for match in re.finditer("\n", text)))
    at = partial(position, file, starts)
    bad_characters = list(islice(_bad_characters(text, at), _MAX_CHARACTER_PROBLEMS))
    if bad_characters:
        raise refusal(bad_characters)
    root = compose(text, at)
    reader = Reader(text, at)
    data = reader.value(root)
    if reader.problems:
        raise refusal(reader.problems)
    return Document(file, text, data, root, starts)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A large file is many objects and no garbage; looking for some would take half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _decode(content: bytes, file: str) -> str:
    if len(content) > MAX_BYTES:
        raise refusal([_too_large(file)])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"byte 0x{content[error.start]:02x} is not valid UTF-8"
        hint = "save the file with the encoding UTF-8"
        where = Position(file, line, column)
        raise refusal([Problem("bad-encoding", message, where, hint)]) from error


def _bad_characters(text: str, at: At) -> Iterator[Problem]:
    allowed = "\t\n -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
    for match in re.finditer(f"[^{allowed}]", text):
        yield Problem(
            "bad-character",
            f"the character U+{ord(match[0]):04X} is not allowed in YAML",
            at(match.start(), 1),
            'remove it, or write it as an escape in double quotes, such as "\\x1b"',
        )


def _too_large(file: str) -> Problem:
    return Problem("too-large", f"{file} is larger than {MAX_BYTES // 1_000_000} MB")
