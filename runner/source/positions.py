"""Where things stand in a text: positions of nodes, and of the characters in their values."""

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from runner.errors import Position

Node = Any  # yaml.Node; yaml itself is imported late, because `pipe --help` must not load it

#: An index in the text and a length to underline, as a position.
At = Callable[[int, int], Position]


def position(file: str, line_starts: tuple[int, ...], index: int, length: int) -> Position:
    """The position of `index` in a file whose lines start at the indices `line_starts`."""
    line = bisect_right(line_starts, index)
    return Position(file, line, index - line_starts[line - 1] + 1, max(1, length))


def span_of(text: str, node: Node) -> tuple[int, int]:
    """Index and length of what to underline for a node: its first line, without anchor and tag."""
    start = content_start(text, node)
    end = min(node.end_mark.index, start + len(line_from(text, start)))
    return start, len(text[start:end].rstrip())


def line_from(text: str, start: int) -> str:
    """What stands from index `start` to the end of its line."""
    end = text.find("\n", start)
    return text[start:end] if end >= 0 else text[start:]


_ANCHOR_AND_TAG = re.compile(r"(?:[&!][^\s,\[\]{}]*\s*(?:#[^\n]*\s*)*)*")


def content_start(text: str, node: Node) -> int:
    """The index at which a node's own text begins, behind an anchor and a tag."""
    start, end = node.start_mark.index, node.end_mark.index
    written = _ANCHOR_AND_TAG.match(text, start, end)
    return written.end() if written and written.end() < end else start


def next_line(text: str, start: int) -> int:
    """The index at which the line after that of index `start` begins, or the end of the text."""
    return min(start + len(line_from(text, start)) + 1, len(text))


# -- characters within a scalar --


def index_in(text: str, node: Node, offset: int) -> int:
    """The index in `text` of character `offset` of a scalar's value."""
    start = content_start(text, node)
    offset = max(0, min(offset, len(node.value)))
    if node.style == "|":
        index = _index_in_literal(text, start, node.value, offset)
    elif node.style == ">":
        index = _index_in_folded(text, next_line(text, start), node.value, offset, "")
    elif node.style:
        index = _index_in_folded(text, start + 1, node.value, offset, node.style)
    else:
        index = _index_in_folded(text, start, node.value, offset, "")
    return min(index, len(text))


def _index_in_literal(text: str, header: int, value: str, offset: int) -> int:
    """Line n of a `|` value is line n below its header, less the indentation."""
    row = value.count("\n", 0, offset)
    column = offset - (value.rfind("\n", 0, offset) + 1)
    start = header
    for _ in range(row + 1):
        start = next_line(text, start)
    indent = len(line_from(text, start)) - len(value.split("\n")[row])
    return start + max(0, indent) + column


_ESCAPE = re.compile(r"\\(?:x..|u.{4}|U.{8}|.)")


def _index_in_folded(text: str, start: int, value: str, offset: int, quote: str) -> int:
    """Walk value and text side by side: folding changes nothing but white space and escapes."""
    index = start
    for character in value[:offset]:
        index = _after(text, _next(text, index, character, quote), character, quote)
    return _next(text, index, value[offset : offset + 1], quote)


def _next(text: str, index: int, character: str, quote: str) -> int:
    """Where `character` stands, at `index` or after white space that folding took away."""
    while quote == '"' and text.startswith("\\\n", index):
        index = _skip_space(text, index + 1)
    return index if not character or character.isspace() else _skip_space(text, index)


def _after(text: str, index: int, character: str, quote: str) -> int:
    escape = _ESCAPE.match(text, index) if quote == '"' else None
    if escape:
        return escape.end()
    if character in " \n":
        space = _skip_space(text, index)
        return space if "\n" in text[index:space] else index + 1
    return index + (2 if character == quote == "'" else 1)


def _skip_space(text: str, index: int) -> int:
    while text[index : index + 1].isspace():
        index += 1
    return index
