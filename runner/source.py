"""YAML text to a `Document`: plain values by YAML 1.2's core rules, and a position for each."""

import gc
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from runner.errors import InvalidInputError, Position, Problem

MAX_BYTES = 10_000_000
MAX_DEPTH = 100
MAX_REPLAYED_NODES = 50_000

#: Nesting up to here is safe for libyaml's composer, which recurses on the C stack.
_SAFE_FOR_LIBYAML = 5_000
#: A file that is not text at all would otherwise give one problem for each of its bytes.
_MAX_CHARACTER_PROBLEMS = 20

_Node = Any  # yaml.Node; yaml itself is imported late, because `pipe --help` must not load it
_At = Callable[[int, int], Position]
_Data = Any


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain JSON-like values, which still knows where each of them stands.

    `data` holds None, bool, int (also for `1.0`), float, str, list and dict with text keys.
    `text` has `\\n` for line ends, whatever the file had, and no byte order mark.
    """

    file: str
    text: str
    data: _Data
    _root: _Node = field(repr=False, compare=False)
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
        return self._at(_index_in(self.text, node, offset), length)

    def line(self, number: int) -> str:
        """The text of line `number` (from 1) without its line end; empty beyond the file."""
        if not 1 <= number <= len(self._line_starts):
            return ""
        return self.text[self._line_starts[number - 1] :].split("\n", 1)[0]

    def _nodes(self, path: tuple[str | int, ...]) -> tuple[_Node | None, _Node]:
        key_node, node = None, self._root
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            key_node, node = found
        return key_node, node

    def _position_of(self, node: _Node) -> Position:
        start = _content_start(self.text, node)
        end_of_line = self.text.find("\n", start)
        ends = (node.end_mark.index, end_of_line if end_of_line >= 0 else len(self.text))
        return self._at(start, len(self.text[start : min(ends)].rstrip()))

    def _at(self, index: int, length: int) -> Position:
        return _position(self.file, self._line_starts, index, length)


def read(path: Path, name: str | None = None) -> Document:
    """Read the YAML file at `path`; `name` is what users see in messages, by default the path.

    Raises InvalidInputError when the file cannot be read, or as `load` does.
    """
    shown = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _invalid("unreadable-file", f"cannot read {shown}: {error.strerror}") from error
    return load(_decode(content, shown), shown)


def load(text: str, file: str) -> Document:
    """Read YAML text; `file` is what users see in messages.

    Raises InvalidInputError with every problem that could be found, each with its position.
    """
    if len(text) > MAX_BYTES:
        raise _too_large(file)
    with _no_garbage_collection():
        return _load(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), file)


def _load(text: str, file: str) -> Document:
    starts = (0, *(match.end() for match in re.finditer("\n", text)))
    at = partial(_position, file, starts)
    _refuse(list(islice(_bad_characters(text, at), _MAX_CHARACTER_PROBLEMS)))
    _refuse(_too_deep(text, at))
    root = _compose(text, at)
    reader = _Reader(text, at)
    data = reader.value(root, 0)
    _refuse(reader.problems)
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


# -- before YAML is read --


def _decode(content: bytes, file: str) -> str:
    if len(content) > MAX_BYTES:
        raise _too_large(file)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise _invalid(
            "bad-encoding",
            f"byte 0x{content[error.start]:02x} is not valid UTF-8",
            Position(file, line, column),
            "save the file with the encoding UTF-8",
        ) from error


def _bad_characters(text: str, at: _At) -> Iterator[Problem]:
    allowed = "\t\n -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
    for match in re.finditer(f"[^{allowed}]", text):
        yield Problem(
            "bad-character",
            f"the character U+{ord(match[0]):04X} is not allowed in YAML",
            at(match.start(), 1),
            'remove it, or write it as an escape in double quotes, such as "\\x1b"',
        )


def _too_deep(text: str, at: _At) -> list[Problem]:
    import yaml

    limit = _SAFE_FOR_LIBYAML if yaml.__with_libyaml__ else MAX_DEPTH
    if _most_nesting(text) <= limit:
        return []
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_loader()):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                return [_depth_problem(at(mark.index, 1))]
    except yaml.YAMLError:
        return []  # composing reports it
    return []


def _most_nesting(text: str) -> int:
    """A bound on how deep `text` can nest; far cheaper than finding out how deep it does.

    `${{` opens no mapping: in block context it is text, in flow context an error.
    """
    opened = text.count("[") + text.count("{") - 2 * text.count("${{")
    indents = re.finditer(r"^[ \-?:]+", text, re.MULTILINE)
    return opened + 2 * max((len(match[0]) for match in indents), default=0)


def _depth_problem(position: Position) -> Problem:
    return Problem("too-deep", f"values nest more than {MAX_DEPTH} levels deep", position)


# -- YAML to nodes --

_IMPLICIT = re.compile(
    r"(?P<null>~|null|Null|NULL|)"
    r"|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_MARKERS = frozenset("!&")
_MAYBE_IMPLICIT = frozenset("~nNtTfF0123456789+-.")
_EXPLICIT_TAG = "tag:yaml.org,2002:"


def _resolve(_loader: object, kind: type, value: str | None, implicit: Any) -> str:
    """Tags for what carries none in the text: short names, so that written ones stay apart."""
    if kind.__name__ != "ScalarNode":
        return "collection"
    if implicit[0] and (not value or value[0] in _MAYBE_IMPLICIT):
        match = _IMPLICIT.fullmatch(value or "")
        return (match.lastgroup if match else None) or "str"
    return "str"


@cache
def _loader() -> type:
    import yaml

    base = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return type("CoreLoader", (base,), {"resolve": _resolve})


def _compose(text: str, at: _At) -> _Node:
    import yaml

    try:
        root = yaml.compose(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error, text, at)
        raise _invalid(problem.code, problem.message, problem.position, problem.hint) from error
    if root is None or (root.tag == "null" and not root.value):
        raise _invalid("empty-file", "the file is empty", at(0, 1))
    return root


def _syntax_problem(error: Any, text: str, at: _At) -> Problem:
    """Our own words for what PyYAML found; its two parsers agree on positions, not on texts."""
    index = min(error.problem_mark.index if error.problem_mark else 0, len(text))
    opened = error.context_mark.index if error.context_mark else index
    for diagnose in (_tab_problem, _alias_problem, _documents_problem, _unclosed_problem):
        problem = diagnose(text, index, opened, at)
        if problem:
            return problem
    return _unreadable_problem(text, index, at)


def _tab_problem(text: str, index: int, _opened: int, at: _At) -> Problem | None:
    start = text.rfind("\n", 0, index) + 1
    indent = re.compile(r"[ -]*(\t)").match(text, start)
    if not indent or indent.start(1) > index:
        return None
    hint = "indent with spaces; YAML does not allow tabs there"
    return Problem("tab", "a tab is used for indentation", at(indent.start(1), 1), hint)


_ANCHOR_OR_ALIAS = re.compile(r"([*&])([^\s,\[\]{}]*)")


def _alias_problem(text: str, index: int, opened: int, at: _At) -> Problem | None:
    name = _ANCHOR_OR_ALIAS.match(text, index) or _ANCHOR_OR_ALIAS.match(text, opened)
    if not name:
        return None
    if name[1] == "&":
        message = f"the anchor `{name[0]}` is defined a second time"
        return Problem(
            "duplicate-anchor", message, at(name.start(), len(name[0])), "give it another name"
        )
    return Problem(
        "unknown-alias",
        f"`{name[0]}` refers to an anchor `&{name[2]}` that is not defined above it",
        at(name.start(), len(name[0])),
        "text that starts with `*` must be in quotes",
    )


def _documents_problem(text: str, index: int, _opened: int, at: _At) -> Problem | None:
    if not text.startswith("---", index):
        return None
    message = "a second document starts here, but a file holds one"
    return Problem("several-documents", message, at(index, 3), "move it to a file of its own")


def _unclosed_problem(text: str, index: int, opened: int, at: _At) -> Problem | None:
    opener = text[opened : opened + 1]
    if opener in ("'", '"') and index >= len(text.rstrip()):
        message = f"the quote {opener} is never closed"
        return Problem("unclosed", message, at(opened, 1), "add the same quote at the end")
    if opener in ("[", "{") and opened != index:
        closer = "]" if opener == "[" else "}"
        message = f"`{opener}` is not closed, or a comma is missing"
        hint = f"close it with `{closer}`; text that starts with `{opener}` must be in quotes"
        return Problem("unclosed", message, at(opened, 1), hint)
    return None


def _unreadable_problem(text: str, index: int, at: _At) -> Problem:
    character = text[index : index + 1]
    before = text[text.rfind("\n", 0, index) + 1 : index]
    if character and character in "@`%|>":
        message, hint = f"text cannot start with {character}", "write it in quotes"
    elif character == "\\":
        message = "this backslash starts no escape that YAML knows"
        hint = "write `\\\\`, or use single quotes, in which a backslash is only itself"
    elif character == ":" and text[index + 1 : index + 2] in tuple(",[]{}"):
        message, hint = "a space is missing after `:`", "write `: `"
    elif character == ":":
        message = "a second `:` on this line, where no further mapping can start"
        hint = "text that holds `: ` must be in quotes"
    elif before.rstrip().endswith(("'", '"')):
        message, hint = "text goes on after its closing quote", "put all of it in quotes"
    elif not before.strip():
        message = "this line does not continue what stands above it"
        hint = "check its indentation against the lines above"
    else:
        message = "this is not valid YAML"
        hint = "look here and just above for a missing `:` or a stray quote or bracket"
    return Problem("yaml-syntax", message, at(index, 1), hint)


# -- nodes to values --


@dataclass(frozen=True, slots=True)
class _Collection:
    """A list or mapping that was read: with `size` values in it, `height` levels of them."""

    data: _Data
    size: int
    height: int


class _Reader:
    """Turns a node tree into plain values, and keeps what is wrong with it."""

    def __init__(self, text: str, at: _At) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._at = at
        self._read: dict[int, _Collection] = {}
        self._open: set[int] = set()
        self._nodes = 0
        self._replayed = 0
        self._deepest = 0

    def value(self, node: _Node, depth: int) -> _Data:
        self._nodes += 1
        if isinstance(node.value, str):
            return self._scalar(node)
        if id(node) in self._open:
            message = "an alias stands inside the value that it refers to"
            return self._report("recursive-alias", message, node)
        known = self._read.get(id(node))
        if depth + (known.height if known else 0) >= MAX_DEPTH:
            self.problems.append(_depth_problem(self._position(node)))
            return None
        return self._replay(node, known, depth) if known else self._collection(node, depth)

    def _collection(self, node: _Node, depth: int) -> _Data:
        if self._has_tag(node) and not _starts_with_child(node):
            self._foreign_tag(node)
        before, outer_deepest, self._deepest = self._nodes, self._deepest, depth
        self._open.add(id(node))
        if node.id == "mapping":
            data: _Data = self._mapping(node, depth)
        else:
            data = [self.value(item, depth + 1) for item in node.value]
        self._open.discard(id(node))
        self._read[id(node)] = _Collection(data, self._nodes - before, self._deepest - depth)
        self._deepest = max(outer_deepest, self._deepest)
        return data

    def _replay(self, node: _Node, known: _Collection, depth: int) -> _Data:
        replayed = self._replayed + known.size
        if self._replayed <= MAX_REPLAYED_NODES < replayed:
            message = f"aliases multiply this into more than {MAX_REPLAYED_NODES} values"
            self._report("alias-bomb", message, node)
        self._replayed = replayed
        self._nodes += known.size
        self._deepest = max(self._deepest, depth + known.height)
        return known.data

    def _mapping(self, node: _Node, depth: int) -> dict[str, _Data]:
        data: dict[str, _Data] = {}
        for key_node, value_node in node.value:
            data[self._key(key_node)] = self.value(value_node, depth + 1)
        if len({key.upper() for key in data}) != len(node.value):
            self._duplicate_keys(node)
        return data

    def _key(self, node: _Node) -> str:
        if not isinstance(node.value, str):
            return self._complex_key(node)
        if node.value == "<<" and not node.style:
            self._merge_key(node)
        self._scalar(node)
        key: str = node.value
        return key

    def _scalar(self, node: _Node) -> _Data:
        start = node.start_mark.index
        if self._text[start : start + 1] in _MARKERS and self._has_tag(node):
            return self._tagged(node)
        if node.style == '"' and "\0" in node.value:
            self._report("bad-character", "text cannot hold the character NUL", node)
        return node.value if node.tag == "str" else _CONVERT[node.tag](node.value)

    def _has_tag(self, node: _Node) -> bool:
        return _TAGGED.match(self._text, node.start_mark.index) is not None

    def _tagged(self, node: _Node) -> _Data:
        kind = node.tag.removeprefix(_EXPLICIT_TAG)
        if node.tag == kind or kind not in _CONVERT or node.style:
            return self._foreign_tag(node)
        if kind == "str":
            return node.value
        match = _IMPLICIT.fullmatch(node.value)
        actual = match.lastgroup if match else None
        if actual != kind and (kind, actual) != ("float", "int"):
            return self._report("bad-tag", f"`{node.value}` is not of the type `!!{kind}`", node)
        return _CONVERT[kind](node.value)

    def _foreign_tag(self, node: _Node) -> None:
        written = re.compile(r"![^\s,]*").search(self._text, node.start_mark.index)
        self._report(
            "foreign-tag",
            f"the tag `{written[0] if written else node.tag}` is not allowed",
            node,
            "text that starts with `!` must be in quotes; a condition can stand in `${{ }}`",
        )

    def _complex_key(self, node: _Node) -> str:
        hint = "write text in quotes, and an expression as `${{ ... }}`"
        self._report("complex-key", "a key must be text, not a list or a mapping", node, hint)
        return ""

    def _merge_key(self, node: _Node) -> None:
        hint = "write the keys out; an alias can stand for a whole value, as in `env: *shared`"
        self._report("merge-key", "the merge key `<<` is not part of the language", node, hint)

    def _duplicate_keys(self, node: _Node) -> None:
        keys = [(key.value, key) for key, _ in node.value if isinstance(key.value, str)]
        seen: dict[str, _Node] = {}
        for text, key in keys:
            first = seen.setdefault(text.upper(), key)
            if first is not key:
                line = self._position(first).line
                message = f"the key `{text}` is already defined in line {line}"
                if first.value != text:
                    message += f" as `{first.value}`; keys ignore case"
                self._report("duplicate-key", message, key)

    def _report(self, code: str, message: str, node: _Node, hint: str = "") -> None:
        self.problems.append(Problem(code, message, self._position(node), hint))

    def _position(self, node: _Node) -> Position:
        start, end = node.start_mark.index, node.end_mark.index
        first_line = self._text[start:end].split("\n", 1)[0]
        return self._at(start, max(1, len(first_line.rstrip())))


def _number(text: str) -> int | float:
    """All numbers are doubles; those that are whole come as int, exact as far as doubles are."""
    if text.startswith(("0x", "0o")):
        value = float(int(text, 0)) if len(text) < 200 else float("inf")
    else:
        value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


_CONVERT: dict[str, Callable[[str], _Data]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _number,
    "float": lambda text: _number(text.lower()),
    "str": str,
}


# -- positions --


def _position(file: str, line_starts: tuple[int, ...], index: int, length: int) -> Position:
    line = bisect_right(line_starts, index)
    return Position(file, line, index - line_starts[line - 1] + 1, max(1, length))


def _child(node: _Node, part: str | int) -> tuple[_Node | None, _Node] | None:
    if node.id == "mapping" and isinstance(part, str):
        return next((pair for pair in node.value if pair[0].value == part), None)
    if node.id == "sequence" and isinstance(part, int) and 0 <= part < len(node.value):
        return None, node.value[part]
    return None


def _starts_with_child(node: _Node) -> bool:
    """Whether what stands before the first key (an anchor, a tag) belongs to that key."""
    children = [pair[0] for pair in node.value[:1]] if node.id == "mapping" else node.value[:1]
    return any(child.start_mark.index == node.start_mark.index for child in children)


def _is_blank(node: _Node) -> bool:
    return bool(node.start_mark.index == node.end_mark.index)


_TAGGED = re.compile(r"(?:&\S*\s+)?!")
_ANCHOR_AND_TAG = re.compile(r"(?:[&!][^\s,\[\]{}]*\s*(?:#[^\n]*\s*)*)*")


def _content_start(text: str, node: _Node) -> int:
    start, end = node.start_mark.index, node.end_mark.index
    written = _ANCHOR_AND_TAG.match(text, start, end)
    return written.end() if written and written.end() < end else start


def _index_in(text: str, node: _Node, offset: int) -> int:
    """The index in `text` of character `offset` of a scalar's value."""
    start = _content_start(text, node)
    offset = max(0, min(offset, len(node.value)))
    if node.style == "|":
        index = _index_in_literal(text, start, node.value, offset)
    elif node.style == ">":
        index = _index_in_folded(text, text.find("\n", start), node.value, offset, "")
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
        start = text.find("\n", start) + 1
    written = text[start:].split("\n", 1)[0]
    indent = len(written) - len(value.split("\n")[row])
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


# -- errors --


def _invalid(
    code: str, message: str, position: Position | None = None, hint: str = ""
) -> InvalidInputError:
    problem = Problem(code, message, position, hint)
    return InvalidInputError(message, hint=hint, position=position, problems=[problem])


def _too_large(file: str) -> InvalidInputError:
    return _invalid("too-large", f"{file} is larger than {MAX_BYTES // 1_000_000} MB")


def _refuse(problems: list[Problem]) -> None:
    if not problems:
        return
    problems = sorted(problems, key=lambda problem: (problem.position is None, problem.position))
    first = problems[0]
    raise InvalidInputError(
        first.message, hint=first.hint, position=first.position, problems=problems
    )
