"""Text that may hold `${{ }}`: templates, conditions, and whole structures of them."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from runner.errors import quoted
from runner.expressions.functions import (
    FUNCTIONS,
    KNOWN,
    MAX_NESTING,
    STATUS_FUNCTIONS,
    Functions,
)
from runner.expressions.parser import (
    CONTEXTS,
    call,
    check_length,
    conjunction,
    parse,
)
from runner.expressions.tokens import ExpressionError
from runner.expressions.tree import (
    NO_FUNCTIONS,
    Embedded,
    Expression,
    Literal,
    Node,
    Reference,
    realize,
)
from runner.expressions.values import WHITESPACE, Value, fold, to_string

_OPEN = "${{"
#: From after `${{` up to the first `}}` that is not in quotes.
_INSIDE = re.compile(r"((?:[^'}]|'[^']*+'|\}(?!\}))*+)\}\}")
_INSERT = re.compile(r"\$\{\{\s*insert\s*\}\}")
_IMPLICIT = call(KNOWN["success"], ())


@dataclass(frozen=True, slots=True)
class Template:
    """A scalar with `${{ }}` in it; `expressions` are paired with their offsets in `text`."""

    text: str
    root: Node
    expressions: tuple[tuple[int, Expression], ...] = ()

    def evaluate(self, contexts: Mapping[str, Value], functions: Functions = NO_FUNCTIONS) -> Value:
        """The value: of its own kind if the text is one `${{ }}` and nothing else, else a string.

        Raises ExpressionError with offsets in `text`, and whatever one of `functions` raises.
        """
        return realize(self.root, contexts, functions)


class _Segment(NamedTuple):
    """A piece of a template: text as it is, or the text of an expression."""

    text: str
    offset: int
    is_expression: bool


def has_expression(text: str) -> bool:
    """Whether `text` holds `${{`, so that it is more than itself."""
    return _OPEN in text


def parse_template(
    text: str, contexts: Collection[str] = CONTEXTS, functions: Collection[str] = FUNCTIONS
) -> Template:
    """Parse a scalar that may hold `${{ }}`; the names known here are as for `parse`.

    Raises ExpressionError with offsets in `text`.
    """
    if not has_expression(text):
        return Template(text, Literal(text))
    return _parse_template(text, frozenset(contexts), frozenset(functions))


def parse_condition(
    value: Value, contexts: Collection[str] = CONTEXTS, functions: Collection[str] = FUNCTIONS
) -> Expression:
    """Parse an `if:`, with or without `${{ }}`; blank is `success()`.

    One that calls none of the status functions becomes `success() && (...)`. Raises
    ExpressionError with offsets in the scalar.
    """
    if isinstance(value, list | dict):
        raise ExpressionError("a condition is one expression, not a list or a map")
    return _parse_condition(to_string(value), frozenset(contexts), frozenset(functions))


def resolve(
    value: Value, contexts: Mapping[str, Value], functions: Functions = NO_FUNCTIONS
) -> Value:
    """Evaluate every string in `value` (keys of maps too) as a template; raises ExpressionError."""
    return _resolve(value, contexts, functions, 0)


@lru_cache(maxsize=4096)
def _parse_template(text: str, contexts: frozenset[str], functions: frozenset[str]) -> Template:
    segments = tuple(_segments(text))
    expressions = tuple(
        (each.offset, _parse_at(each, contexts, functions))
        for each in segments
        if each.is_expression
    )
    nodes = tuple(Embedded(each.root, offset, each.root.depth) for offset, each in expressions)
    root = nodes[0] if len(segments) == 1 else _formatted(segments, nodes)
    return Template(text, root, expressions)


def _segments(text: str) -> Iterator[_Segment]:
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        if start > position:
            yield _Segment(text[position:start], position, False)
        inside = _INSIDE.match(text, start + len(_OPEN))
        if inside is None:
            raise ExpressionError("`${{` is not closed", start, len(_OPEN), hint="add `}}`")
        yield _trimmed(inside[1], start)
        position = inside.end()
    if position < len(text):
        yield _Segment(text[position:], position, False)


def _trimmed(inside: str, start: int) -> _Segment:
    expression = inside.strip(WHITESPACE)
    if not expression:
        length = len(_OPEN) + len(inside) + len("}}")
        raise ExpressionError("an expression was expected", start, length)
    before = len(inside) - len(inside.lstrip(WHITESPACE))
    return _Segment(expression, start + len(_OPEN) + before, True)


def _parse_at(segment: _Segment, contexts: frozenset[str], functions: frozenset[str]) -> Expression:
    try:
        return parse(segment.text, contexts, functions)
    except ExpressionError as error:
        raise error.shifted(segment.offset) from None


def _formatted(segments: tuple[_Segment, ...], nodes: tuple[Embedded, ...]) -> Node:
    """The call of `format` that mixed text stands for; it has to keep to the same limits."""
    pieces: list[str] = []
    sources: list[str] = []
    for segment in segments:
        if segment.is_expression:
            pieces.append(f"{{{len(sources)}}}")
            sources.append(segment.text)
        else:
            pieces.append(segment.text.replace("{", "{{").replace("}", "}}"))
    template = "".join(pieces)
    doubled = template.replace("'", "''")
    check_length(f"format('{doubled}', {', '.join(sources)})")
    return call(KNOWN["format"], (Literal(template), *nodes))


@lru_cache(maxsize=1024)
def _parse_condition(text: str, contexts: frozenset[str], functions: frozenset[str]) -> Expression:
    if not text.strip(WHITESPACE):
        return Expression("success()", _IMPLICIT, frozenset(["success"]))
    if has_expression(text):
        condition = _whole(_parse_template(text, contexts, functions))
    else:
        condition = parse(text, contexts, functions)
    if condition.calls & STATUS_FUNCTIONS:
        return condition
    root = conjunction((_IMPLICIT, condition.root))
    return Expression(text, root, condition.calls | {"success"}, condition.references)


def _whole(template: Template) -> Expression:
    """A template as one expression, its references placed in the template's text."""
    calls = frozenset[str]().union(*(each.calls for _, each in template.expressions))
    references = tuple(
        Reference(each.path, each.offset + offset, each.length)
        for offset, expression in template.expressions
        for each in expression.references
    )
    return Expression(template.text, template.root, calls, references)


def _resolve(
    value: Value, contexts: Mapping[str, Value], functions: Functions, depth: int
) -> Value:
    if isinstance(value, str):
        if _OPEN not in value:
            return value
        return parse_template(value).evaluate(contexts, functions)
    if depth >= MAX_NESTING and isinstance(value, list | dict):
        raise ExpressionError(f"the data nests deeper than {MAX_NESTING}")
    if isinstance(value, list):
        return [_resolve(each, contexts, functions, depth + 1) for each in value]
    if isinstance(value, dict):
        return _resolve_map(value, contexts, functions, depth + 1)
    return value


def _resolve_map(
    value: dict[str, Any], contexts: Mapping[str, Value], functions: Functions, depth: int
) -> dict[str, Any]:
    pairs = [(key, _resolve(each, contexts, functions, depth)) for key, each in value.items()]
    if not any(_OPEN in key for key in value):
        return dict(pairs)
    resolved: dict[str, Any] = {}
    for key, each in pairs:
        inserted = _INSERT.fullmatch(key) is not None
        new = _inserted(each) if inserted else {_key(key, contexts, functions): each}
        _refuse_repeated(resolved, new)
        resolved |= new
    return resolved


def _inserted(value: Value) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExpressionError("`${{ insert }}` takes a map", 0, len("${{ insert }}"))
    return value


def _key(key: str, contexts: Mapping[str, Value], functions: Functions) -> str:
    value = _resolve(key, contexts, functions, 0)
    if isinstance(value, list | dict):
        raise ExpressionError("a key cannot be a list or a map", 0, len(key))
    return to_string(value)


def _refuse_repeated(resolved: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    known = {fold(key) for key in resolved}
    for key in new:
        if fold(key) in known:
            raise ExpressionError(
                f"the key {quoted(key)} is already defined", hint="keys ignore case"
            )
