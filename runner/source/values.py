"""A tree of nodes to plain values, and what the language refuses of YAML."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.errors import Position, Problem
from runner.source.nodes import IMPLICIT, MAX_DEPTH, depth_problem
from runner.source.positions import At, Node, span_of

MAX_REPLAYED_NODES = 50_000

_EXPLICIT_TAG = "tag:yaml.org,2002:"
_MARKERS = frozenset("!&")
_TAGGED = re.compile(r"(?:&\S*\s+)?!")


@dataclass(frozen=True, slots=True)
class _Collection:
    """A list or mapping that was read: with `size` values in it, `height` levels of them."""

    data: Any
    size: int
    height: int


class Reader:
    """Turns a node tree into plain values; `problems` is what the language refuses in it."""

    def __init__(self, text: str, at: At) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._at = at
        self._read: dict[int, _Collection] = {}
        self._open: set[int] = set()
        self._nodes = 0
        self._replayed = 0
        self._deepest = 0

    def value(self, node: Node, depth: int = 0) -> Any:
        """The plain value of a node that stands `depth` levels below the root."""
        self._nodes += 1
        if isinstance(node.value, str):
            return self._scalar(node)
        if id(node) in self._open:
            message = "an alias stands inside the value that it refers to"
            return self._report("recursive-alias", message, node)
        known = self._read.get(id(node))
        if depth + (known.height if known else 0) >= MAX_DEPTH:
            self.problems.append(depth_problem(self._position(node)))
            return None
        return self._replay(node, known, depth) if known else self._collection(node, depth)

    def _collection(self, node: Node, depth: int) -> Any:
        if self._has_tag(node) and not _starts_with_child(node):
            self._foreign_tag(node)
        before, outer_deepest, self._deepest = self._nodes, self._deepest, depth
        self._open.add(id(node))
        if node.id == "mapping":
            data: Any = self._mapping(node, depth)
        else:
            data = [self.value(item, depth + 1) for item in node.value]
        self._open.discard(id(node))
        self._read[id(node)] = _Collection(data, self._nodes - before, self._deepest - depth)
        self._deepest = max(outer_deepest, self._deepest)
        return data

    def _replay(self, node: Node, known: _Collection, depth: int) -> Any:
        replayed = self._replayed + known.size
        if self._replayed <= MAX_REPLAYED_NODES < replayed:
            message = f"aliases multiply this into more than {MAX_REPLAYED_NODES} values"
            self._report("alias-bomb", message, node)
        self._replayed = replayed
        self._nodes += known.size
        self._deepest = max(self._deepest, depth + known.height)
        return known.data

    def _mapping(self, node: Node, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            data[self._key(key_node)] = self.value(value_node, depth + 1)
        if len({key.upper() for key in data}) != len(node.value):
            self._duplicate_keys(node)
        return data

    def _key(self, node: Node) -> str:
        if not isinstance(node.value, str):
            return self._complex_key(node)
        if node.value == "<<" and not node.style:
            self._merge_key(node)
        self._scalar(node)
        key: str = node.value
        return key

    def _scalar(self, node: Node) -> Any:
        start = node.start_mark.index
        if self._text[start : start + 1] in _MARKERS and self._has_tag(node):
            return self._tagged(node)
        if node.style == '"' and "\0" in node.value:
            self._report("bad-character", "text cannot hold the character NUL", node)
        return node.value if node.tag == "str" else _CONVERT[node.tag](node.value)

    def _has_tag(self, node: Node) -> bool:
        return _TAGGED.match(self._text, node.start_mark.index) is not None

    def _tagged(self, node: Node) -> Any:
        kind = node.tag.removeprefix(_EXPLICIT_TAG)
        if node.tag == kind or kind not in _CONVERT or node.style:
            return self._foreign_tag(node)
        if kind == "str":
            return node.value
        match = IMPLICIT.fullmatch(node.value)
        actual = match.lastgroup if match else None
        if actual != kind and (kind, actual) != ("float", "int"):
            return self._report("bad-tag", f"`{node.value}` is not of the type `!!{kind}`", node)
        return _CONVERT[kind](node.value)

    def _foreign_tag(self, node: Node) -> None:
        start = self._text.index("!", node.start_mark.index)
        tag = self._text[start : node.end_mark.index].split(None, 1)[0]
        message = f"the tag `{tag}` is not allowed"
        hint = "text that starts with `!` must be in quotes; a condition can stand in `${{ }}`"
        self.problems.append(Problem("foreign-tag", message, self._at(start, len(tag)), hint))

    def _complex_key(self, node: Node) -> str:
        hint = "write text in quotes, and an expression as `${{ ... }}`"
        self._report("complex-key", "a key must be text, not a list or a mapping", node, hint)
        return ""

    def _merge_key(self, node: Node) -> None:
        hint = "write the keys out; an alias can stand for a whole value, as in `env: *shared`"
        self._report("merge-key", "the merge key `<<` is not part of the language", node, hint)

    def _duplicate_keys(self, node: Node) -> None:
        keys = [(key.value, key) for key, _ in node.value if isinstance(key.value, str)]
        seen: dict[str, Node] = {}
        for text, key in keys:
            first = seen.setdefault(text.upper(), key)
            if first is not key:
                line = self._position(first).line
                message = f"the key `{text}` is already defined in line {line}"
                if first.value != text:
                    message += f" as `{first.value}`; keys ignore case"
                self._report("duplicate-key", message, key)

    def _report(self, code: str, message: str, node: Node, hint: str = "") -> None:
        self.problems.append(Problem(code, message, self._position(node), hint))

    def _position(self, node: Node) -> Position:
        return self._at(*span_of(self._text, node))


def _number(text: str) -> int | float:
    """All numbers are doubles; those that are whole come as int, exact as far as doubles are."""
    if text.startswith(("0x", "0o")):
        value = float(int(text, 0)) if len(text) < 200 else float("inf")
    else:
        value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


_CONVERT: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _number,
    "float": lambda text: _number(text.lower()),
    "str": str,
}


def _starts_with_child(node: Node) -> bool:
    """Whether what stands before the first key (an anchor, a tag) belongs to that key."""
    children = [pair[0] for pair in node.value[:1]] if node.id == "mapping" else node.value[:1]
    return any(child.start_mark.index == node.start_mark.index for child in children)
