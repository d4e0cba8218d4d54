"""Commands that a step prints: `::name key=value::data`, and the older `##[name key=value]data`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

COMMANDS = frozenset(
    {
        "add-mask",
        "add-matcher",
        "add-path",
        "debug",
        "echo",
        "endgroup",
        "error",
        "group",
        "notice",
        "remove-matcher",
        "save-state",
        "set-env",
        "set-output",
        "stop-commands",
        "warning",
    }
)
#: What may stand in front of a command.
BLANKS = " \t\v\f"

# The escape of `%` itself comes last, so that what it reveals is not unescaped again.
_IN_DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
_IN_PROPERTIES = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
_IN_BRACKETS = (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%"))
_Escapes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """`name` is spelt as it was registered; names of properties are lower-case, because case does
    not matter. `raw` is what the step wrote, where that is known.
    """

    name: str
    properties: Mapping[str, str]
    data: str
    raw: bytes = field(default=b"", compare=False)


def parse_command(line: str, names: Collection[str] = COMMANDS) -> Command | None:
    """The command in a line without its end; None when it holds none of those in `names`.

    `::` must begin the line, but for blanks; `##[` may stand anywhere in it.
    """
    return _parse_colons(line, names) or _parse_brackets(line, names)


def _parse_colons(line: str, names: Collection[str]) -> Command | None:
    start = line.lstrip(BLANKS)
    head, separator, data = start.removeprefix("::").partition("::")
    word, _, properties = head.partition(" ")
    name = _registered(word, names)
    if not start.startswith("::") or not separator or name is None:
        return None
    pairs = properties.strip(BLANKS).split(",")
    return Command(name, _properties(pairs, _IN_PROPERTIES), _unescaped(data, _IN_DATA))


def _parse_brackets(line: str, names: Collection[str]) -> Command | None:
    _, opening, rest = line.partition("##[")
    head, closing, data = rest.partition("]")
    word, _, properties = head.partition(" ")
    name = _registered(word, names)
    if not opening or not closing or name is None:
        return None
    pairs = properties.split(";")
    return Command(name, _properties(pairs, _IN_BRACKETS), _unescaped(data, _IN_BRACKETS))


def _registered(word: str, names: Collection[str]) -> str | None:
    if word in names:
        return word
    return next((name for name in names if name.lower() == word.lower()), None)


def _properties(pairs: list[str], escapes: _Escapes) -> dict[str, str]:
    """Those of `key=value` that have both; `=` repeated in front of either does not count."""
    split = (pair.lstrip("=").partition("=") for pair in pairs)
    return {
        key.lower(): _unescaped(value.lstrip("="), escapes)
        for key, _, value in split
        if value.lstrip("=")
    }


def _unescaped(text: str, escapes: _Escapes) -> str:
    for escape, character in escapes:
        text = text.replace(escape, character)
    return text
