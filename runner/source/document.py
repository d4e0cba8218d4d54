"""A YAML file that was read: its values, and where each of them stands."""

from dataclasses import dataclass, field
from typing import Any

from runner.errors import Position
from runner.source.positions import Node, index_in, line_from, position, span_of


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain JSON-like values, which still knows where each of them stands.

    `data` holds None, bool, int (also for `1.0`), float, str, list and dict with text keys.
    `text` has `\\n` for line ends, whatever the file had, and no byte order mark.
    """

    file: str
    text: str
    data: Any
    _root: Node = field(repr=False, compare=False)
    _line_starts: tuple[int, ...] = field(repr=False, compare=False)

    def locate(self, path: tuple[str | int, ...], key: bool = False) -> Position:
        """Where the value at `path` stands, or with `key` the mapping key that introduces it.

        A path that does not exist gives the position of its nearest existing ancestor; a value
        that is empty gives that of its key.
        """
        key_node, node = self._nodes(path)
        if key_node is not None and (key or _is_blank(node)):
            return self._position_of(key_node)
        return self._position_of(node)

    def locate_in(self, path: tuple[str | int, ...], offset: int, length: int = 1) -> Position:
        """Where character `offset` of the text at `path` stands, with `length` to underline.

        Exact for plain, quoted and `|` text; in folded text white space may be a line off. What
        is not text gives the position of the value itself.
        """
        node = self._nodes(path)[1]
        if not isinstance(node.value, str) or _is_blank(node):
            return self.locate(path)
        return self._at(index_in(self.text, node, offset), length)

    def line(self, number: int) -> str:
        """The text of line `number` (from 1) without its line end; empty beyond the file."""
        if not 1 <= number <= len(self._line_starts):
            return ""
        return line_from(self.text, self._line_starts[number - 1])

    def _nodes(self, path: tuple[str | int, ...]) -> tuple[Node | None, Node]:
        key_node, node = None, self._root
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            key_node, node = found
        return key_node, node

    def _position_of(self, node: Node) -> Position:
        return self._at(*span_of(self.text, node))

    def _at(self, index: int, length: int) -> Position:
        return position(self.file, self._line_starts, index, length)


def _child(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    if node.id == "mapping" and isinstance(part, str):
        return next((pair for pair in node.value if pair[0].value == part), None)
    if node.id == "sequence" and isinstance(part, int) and 0 <= part < len(node.value):
        return None, node.value[part]
    return None


def _is_blank(node: Node) -> bool:
    return bool(node.start_mark.index == node.end_mark.index)
