"""What the values that a condition names must be for it to hold, as far as its text tells."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from runner.expressions import ExpressionError, Value, equals, truthy
from runner.expressions.tree import And, Call, Compare, Literal, Node, Not, Or, Scope
from runner.expressions.values import differs, fold, parse_number
from runner.lint.nodes import Name, name

#: Functions that are worth evaluating, and cannot take long.
_CHEAP = ("contains", "startswith", "endswith", "fromjson")
_NOTHING_GIVEN = Scope({}, {})


@dataclass(frozen=True, slots=True)
class Values:
    """The texts that a value may be: those listed or, where `others`, everything but those."""

    listed: frozenset[str]
    others: bool = False

    def __and__(self, more: "Values") -> "Values":
        if self.others and more.others:
            return Values(self.listed | more.listed, others=True)
        if self.others or more.others:
            few, many = (more, self) if self.others else (self, more)
            return Values(few.listed - many.listed)
        return Values(self.listed & more.listed)

    def __invert__(self) -> "Values":
        return Values(self.listed, not self.others)

    def __or__(self, more: "Values") -> "Values":
        return ~(~self & ~more)

    def __bool__(self) -> bool:
        return self.others or bool(self.listed)


#: What each name must be; names that are not in it may be anything.
Demands = Mapping[Name, Values]


def demands(condition: Node, wanted: bool = True) -> Demands | None:
    """What must hold for the condition to be true (or, not `wanted`, false); None: it cannot be."""
    match condition:
        case Not():
            return demands(condition.operand, not wanted)
        case And() | Or():
            parts = [demands(each, wanted) for each in condition.operands]
            return _all(parts) if isinstance(condition, And) == wanted else _any(parts)
        case Compare() | Call() if found := compared(condition):
            reference, values = found
            return _possible({reference: values if wanted else ~values})
    value = _constant(condition)
    return None if value and truthy(value[0]) != wanted else {}


def compared(node: Node) -> tuple[Name, Values] | None:
    """A reference, and the texts that it has for `node` to be true; None for other conditions."""
    match node:
        case Compare() if node.compare in (equals, differs):
            found = _with_text(node.left, node.right) or _with_text(node.right, node.left)
            if found and node.compare is differs:
                return found[0], ~found[1]
            return found
        case Call() if node.function.name.lower() == "contains" and node.arguments:
            return _in_list(node.arguments[0], node.arguments[-1])
    return None


def _with_text(reference: Node, value: Node) -> tuple[Name, Values] | None:
    named = name(reference)
    if not named or None in named or not isinstance(value, Literal) or not _is_plain(value.value):
        return None
    return named, Values(frozenset([fold(str(value.value))]))


def _in_list(listed: Node, reference: Node) -> tuple[Name, Values] | None:
    named, found = name(reference), _constant(listed)
    if not named or None in named or not found or not isinstance(found[0], list):
        return None
    if not all(map(_is_plain, found[0])):
        return None
    return named, Values(frozenset(fold(str(each)) for each in found[0]))


def _is_plain(value: Value) -> bool:
    """Whether only the same text equals it: what reads as a number equals other spellings too."""
    return isinstance(value, str) and math.isnan(parse_number(value))


def _constant(node: Node) -> tuple[Value] | None:
    """The value that the node always has, in a tuple; None when that depends on the run."""
    if isinstance(node, Literal):
        return (node.value,)
    if isinstance(node, Compare):
        parts: Iterable[Node] = (node.left, node.right)
    elif isinstance(node, Call) and node.function.name.lower() in _CHEAP:
        parts = node.arguments
    else:
        return None
    if not all(map(_constant, parts)):
        return None
    try:
        return (node.evaluate(_NOTHING_GIVEN),)
    except ExpressionError:  # the run will say so, where it gets there at all
        return None


def _possible(found: Demands) -> Demands | None:
    return found if all(found.values()) else None


def _all(parts: Iterable[Demands | None]) -> Demands | None:
    together: dict[Name, Values] = {}
    for part in parts:
        if part is None:
            return None
        for each, values in part.items():
            together[each] = together[each] & values if each in together else values
    return _possible(together)


def _any(parts: Iterable[Demands | None]) -> Demands | None:
    found = [part for part in parts if part is not None]
    return reduce(_either, found) if found else None


def _either(one: Demands, other: Demands) -> Demands:
    return {each: one[each] | other[each] for each in one if each in other}
