"""The functions of the language: how many arguments each takes, and what the pure ones do."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from runner.errors import quoted
from runner.expressions.values import Value, equals, fold, narrow, to_string

#: Functions that need the outside (`hashfiles`, `success`, ...), by lower-case name; they are
#: called with the values of their arguments.
Functions: TypeAlias = Mapping[str, Callable[..., Value]]
#: An argument that is evaluated when it is called.
Argument: TypeAlias = Callable[[], Value]

#: The most arguments that any function takes.
MAX_ARGUMENTS = 255
#: How deep lists and maps may nest in JSON.
MAX_NESTING = 100
#: The longest text, in characters, that a function may build.
MAX_TEXT = 64 * 1024 * 1024

#: The functions that say how things went so far; a condition without one means `success() && ...`.
STATUS_FUNCTIONS = frozenset(["success", "failure", "cancelled", "always"])

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([0-9]+)\}|[{}]")
#: A JSON text, or what is left of the whole if it is not closed, so that one pass is enough.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_quote = json.JSONEncoder(ensure_ascii=False).encode


class ArgumentError(ValueError):
    """A function cannot work with what it was given; the message says why."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name as documented and its argument counts; `run` is None if it needs the
    outside."""

    name: str
    least: int
    most: int
    run: Callable[[Sequence[Argument]], Value] | None = None
    odd: bool = False

    def refusal(self, count: int) -> str:
        """Why `count` arguments are not what the function takes; empty if they are."""
        if self.least <= count <= self.most:
            return f"{self.name}() takes an odd number of arguments" * (self.odd and not count % 2)
        wanted = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
        return f"{self.name}() takes {wanted} argument{'s' * (wanted != '1')}, not {count}"


def external(name: str) -> Function:
    """A function that is not GitHub's own: any arguments, and what it does is passed in."""
    return Function(name, 0, MAX_ARGUMENTS)


def _contains(arguments: Sequence[Argument]) -> Value:
    search, item = (argument() for argument in arguments)
    if isinstance(search, list):
        return any(equals(each, item) for each in search)
    if isinstance(search, dict) or isinstance(item, list | dict):
        return False
    return fold(to_string(item)) in fold(to_string(search))


def _starts_with(arguments: Sequence[Argument]) -> Value:
    return _compared(arguments, str.startswith)


def _ends_with(arguments: Sequence[Argument]) -> Value:
    return _compared(arguments, str.endswith)


def _compared(arguments: Sequence[Argument], compare: Callable[[str, str], bool]) -> bool:
    text, part = (argument() for argument in arguments)
    if isinstance(text, list | dict) or isinstance(part, list | dict):
        return False
    return compare(fold(to_string(text)), fold(to_string(part)))


def _format(arguments: Sequence[Argument]) -> Value:
    template = to_string(arguments[0]())
    segments = _segments(template)
    for number in segments:
        if isinstance(number, int) and number > len(arguments) - 2:
            raise ArgumentError(f"format() has no argument for {{{number}}}")
    texts: dict[int, str] = {}
    for number in segments:
        if isinstance(number, int) and number not in texts:
            texts[number] = to_string(arguments[number + 1]())
    return _concatenated([texts[part] if isinstance(part, int) else part for part in segments])


@lru_cache(maxsize=1024)
def _segments(template: str) -> tuple[str | int, ...]:
    segments: list[str | int] = []
    position = 0
    for match in _PLACEHOLDER.finditer(template):
        segments += [template[position : match.start()], _placeholder(match, template)]
        position = match.end()
    return tuple(part for part in [*segments, template[position:]] if part != "")


def _placeholder(match: re.Match[str], template: str) -> str | int:
    found = match[0]
    if found in ("{{", "}}"):
        return found[0]
    digits = (match[1] or "").lstrip("0")
    if match[1] is None or len(digits) > 3 or int(digits or "0") > MAX_ARGUMENTS:
        raise ArgumentError(
            f"format() cannot read {quoted(template)}: `{found[0]}` at character "
            f"{match.start() + 1} is neither doubled nor part of `{{0}}`"
        )
    return int(digits or "0")


def _join(arguments: Sequence[Argument]) -> Value:
    value = arguments[0]()
    if not isinstance(value, list):
        return "" if isinstance(value, dict) else to_string(value)
    parts = [to_string(item) for item in value]
    if len(parts) < 2:
        return "".join(parts)
    separator = arguments[1]() if len(arguments) > 1 else ","
    between = "," if isinstance(separator, list | dict) else to_string(separator)
    return _concatenated([part for each in parts for part in (between, each)][1:])


def _concatenated(parts: Sequence[str]) -> str:
    if sum(map(len, parts)) > MAX_TEXT:
        raise ArgumentError(f"the text grows beyond {MAX_TEXT} characters")
    return "".join(parts)


def _to_json(arguments: Sequence[Argument]) -> Value:
    return "".join(_written(arguments[0](), "\n"))


def _written(value: Value, line: str) -> Iterator[str]:
    """Pieces of the JSON text of `value`; `line` starts a line at the value's own indent."""
    if isinstance(value, str):
        yield _quote(value)
    elif isinstance(value, dict):
        pairs = [(f"{_quote(key)}: ", each) for key, each in value.items()]
        yield from _written_all("{", pairs, "}", line)
    elif isinstance(value, list):
        yield from _written_all("[", [("", each) for each in value], "]", line)
    else:
        yield "null" if value is None else to_string(value)


def _written_all(
    start: str, pairs: Sequence[tuple[str, Value]], end: str, line: str
) -> Iterator[str]:
    if len(line) > 2 * MAX_NESTING:
        raise ArgumentError(f"toJSON() refuses data that nests deeper than {MAX_NESTING}")
    inner = line + "  "
    yield start
    for number, (label, value) in enumerate(pairs):
        yield ("," if number else "") + inner + label
        yield from _written(value, inner)
    yield line + end if pairs else end


def _from_json(arguments: Sequence[Argument]) -> Value:
    text = to_string(arguments[0]())
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise ArgumentError(f"fromJSON() refuses JSON that nests deeper than {MAX_NESTING}")
    try:
        value: Value = json.loads(
            text, parse_int=_json_number, parse_float=_json_number, parse_constant=_json_constant
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ArgumentError(f"fromJSON() got invalid JSON: {error.msg} at {where}") from None
    if "\\u" in text:
        _refuse_half_characters(value)
    return value


def _nesting(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_QUOTED.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _json_number(text: str) -> float:
    return narrow(float(text))


def _json_constant(name: str) -> Any:
    raise ArgumentError(f"fromJSON() got invalid JSON: it has no {name}")


def _refuse_half_characters(value: Value) -> None:
    try:
        "".join(_written(value, "\n")).encode()
    except UnicodeEncodeError:
        raise ArgumentError("fromJSON() got half of a surrogate pair") from None


def _case(arguments: Sequence[Argument]) -> Value:
    for number in range(0, len(arguments) - 1, 2):
        predicate = arguments[number]()
        if not isinstance(predicate, bool):
            raise ArgumentError(f"case() needs true or false as argument {number + 1}")
        if predicate:
            return arguments[number + 1]()
    return arguments[-1]()


#: GitHub's functions by lower-case name.
KNOWN: Mapping[str, Function] = {
    function.name.lower(): function
    for function in (
        Function("contains", 2, 2, _contains),
        Function("startsWith", 2, 2, _starts_with),
        Function("endsWith", 2, 2, _ends_with),
        Function("format", 1, MAX_ARGUMENTS, _format),
        Function("join", 1, 2, _join),
        Function("toJSON", 1, 1, _to_json),
        Function("fromJSON", 1, 1, _from_json),
        Function("case", 3, MAX_ARGUMENTS, _case, odd=True),
        Function("hashFiles", 1, MAX_ARGUMENTS),
        Function("success", 0, MAX_ARGUMENTS),
        Function("failure", 0, MAX_ARGUMENTS),
        Function("cancelled", 0, 0),
        Function("always", 0, 0),
    )
}
FUNCTIONS = frozenset(KNOWN)
