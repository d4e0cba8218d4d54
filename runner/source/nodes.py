"""YAML text to a tree of nodes, by YAML 1.2's core rules instead of PyYAML's older ones."""

import re
from functools import cache
from typing import Any

from runner.errors import InvalidInputError, Position, Problem
from runner.source.positions import At, Node
from runner.source.syntax import syntax_problem

MAX_DEPTH = 100

#: Nesting up to here is safe for libyaml's composer, which recurses on the C stack.
_SAFE_FOR_LIBYAML = 5_000

IMPLICIT = re.compile(
    r"(?P<null>~|null|Null|NULL|)"
    r"|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_MAYBE_IMPLICIT = frozenset("~nNtTfF0123456789+-.")


def compose(text: str, at: At) -> Node:
    """The root node of the one document in `text`; InvalidInputError if that is not what it is."""
    import yaml

    too_deep = _too_deep(text, at)
    if too_deep:
        raise refusal([too_deep])
    try:
        root = yaml.compose(text, Loader=loader())
    except yaml.MarkedYAMLError as error:
        raise refusal([syntax_problem(error, text, at)]) from error
    if root is None or (root.tag == "null" and not root.value):
        raise refusal([Problem("empty-file", "the file is empty", at(0, 1))])
    return root


def _resolve(_self: object, kind: type, value: str | None, implicit: Any) -> str:
    """Tags for what carries none in the text: short names, so that written ones stay apart."""
    if kind.__name__ != "ScalarNode":
        return "collection"
    if implicit[0] and (not value or value[0] in _MAYBE_IMPLICIT):
        match = IMPLICIT.fullmatch(value or "")
        return (match.lastgroup if match else None) or "str"
    return "str"


@cache
def loader() -> type:
    """PyYAML's fastest safe loader that there is here, with the tags of `_resolve`."""
    import yaml

    base = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return type("CoreLoader", (base,), {"resolve": _resolve})


def _too_deep(text: str, at: At) -> Problem | None:
    import yaml

    limit = _SAFE_FOR_LIBYAML if yaml.__with_libyaml__ else MAX_DEPTH
    if _most_nesting(text) <= limit:
        return None
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader()):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                return depth_problem(at(mark.index, 1))
    except yaml.YAMLError:
        return None  # composing reports it
    return None


def _most_nesting(text: str) -> int:
    """A bound on how deep `text` can nest; far cheaper than finding out how deep it does.

    `${{` opens no mapping: in block context it is text, in flow context an error.
    """
    opened = text.count("[") + text.count("{") - 2 * text.count("${{")
    indents = re.finditer(r"^[ \-?:]+", text, re.MULTILINE)
    return opened + 2 * max((len(match[0]) for match in indents), default=0)


def depth_problem(position: Position) -> Problem:
    """The problem of a value at `position` that stands too deep."""
    return Problem("too-deep", f"values nest more than {MAX_DEPTH} levels deep", position)


def refusal(problems: list[Problem]) -> InvalidInputError:
    """The error that reports all of `problems`, ordered by position."""
    ordered = sorted(problems, key=lambda problem: (problem.position is None, problem.position))
    first = ordered[0]
    return InvalidInputError(
        first.message, hint=first.hint, position=first.position, problems=ordered
    )
