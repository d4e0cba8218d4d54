"""The tree of a parsed expression: each node evaluates itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from runner.expressions.functions import ArgumentError, Function, Functions
from runner.expressions.tokens import ExpressionError
from runner.expressions.values import FilteredArray, Value, index, items, truthy

#: No functions from the outside.
NO_FUNCTIONS: Functions = {}


@dataclass(frozen=True, slots=True)
class Scope:
    """What an evaluation may use: contexts and outside functions, both by lower-case name."""

    contexts: Mapping[str, Value]
    functions: Functions


class Node(Protocol):
    """A part of an expression; `depth` counts the levels from here down, a leaf is 1."""

    @property
    def depth(self) -> int: ...

    def evaluate(self, scope: Scope) -> Value: ...


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the text."""

    value: Value
    depth: int = 1

    def evaluate(self, scope: Scope) -> Value:  # noqa: ARG002
        return self.value


@dataclass(frozen=True, slots=True)
class Context:
    """A context such as `github`; null if it was not given."""

    name: str
    depth: int = 1

    def evaluate(self, scope: Scope) -> Value:
        return scope.contexts.get(self.name)


@dataclass(frozen=True, slots=True)
class Index:
    """`target.name` or `target[key]`."""

    target: Node
    key: Node
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        target = self.target.evaluate(scope)
        if not isinstance(target, list | dict):
            return None
        return index(target, self.key.evaluate(scope))


@dataclass(frozen=True, slots=True)
class Items:
    """`target.*` or `target[*]`."""

    target: Node
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        return items(self.target.evaluate(scope))


@dataclass(frozen=True, slots=True)
class Not:
    """`!operand`."""

    operand: Node
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        return not truthy(self.operand.evaluate(scope))


@dataclass(frozen=True, slots=True)
class Compare:
    """`left == right` and the other comparisons."""

    compare: Callable[[Value, Value], bool]
    left: Node
    right: Node
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        return self.compare(self.left.evaluate(scope), self.right.evaluate(scope))


@dataclass(frozen=True, slots=True)
class And:
    """`a && b && c`: the first falsy value, else the last."""

    operands: tuple[Node, ...]
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        value: Value = None
        for operand in self.operands:
            value = operand.evaluate(scope)
            if not truthy(value):
                break
        return value


@dataclass(frozen=True, slots=True)
class Or:
    """`a || b || c`: the first truthy value, else the last."""

    operands: tuple[Node, ...]
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        value: Value = None
        for operand in self.operands:
            value = operand.evaluate(scope)
            if truthy(value):
                break
        return value


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`; `offset` and `length` are those of the name."""

    function: Function
    arguments: tuple[Node, ...]
    offset: int
    length: int
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        if self.function.run is None:
            return self._evaluate_outside(scope)
        try:
            return self.function.run([partial(each.evaluate, scope) for each in self.arguments])
        except ArgumentError as error:
            raise ExpressionError(str(error), self.offset, self.length) from None

    def _evaluate_outside(self, scope: Scope) -> Value:
        run = scope.functions.get(self.function.name.lower())
        if run is None:
            message = f"{self.function.name}() cannot be used here"
            raise ExpressionError(message, self.offset, self.length)
        return run(*[each.evaluate(scope) for each in self.arguments])


@dataclass(frozen=True, slots=True)
class Embedded:
    """An expression within a longer text, `offset` characters from its start."""

    node: Node
    offset: int
    depth: int

    def evaluate(self, scope: Scope) -> Value:
        try:
            return self.node.evaluate(scope)
        except ExpressionError as error:
            raise error.shifted(self.offset) from None


@dataclass(frozen=True, slots=True)
class Reference:
    """A use of a context: `needs.build.outputs['x']` is ("needs", "build", "outputs", "x").

    An index that is only known when it is evaluated, or `*`, is None and ends the path. `offset`
    and `length` are in characters of the expression's text.
    """

    path: tuple[str | None, ...]
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: what it calls (lower-case names), what it refers to, in text order."""

    text: str
    root: Node
    calls: frozenset[str] = frozenset()
    references: tuple[Reference, ...] = ()

    def evaluate(self, contexts: Mapping[str, Value], functions: Functions = NO_FUNCTIONS) -> Value:
        """The value of the expression; a context that is not given is null.

        Raises ExpressionError, and whatever one of `functions` raises.
        """
        return realize(self.root, contexts, functions)


def realize(root: Node, contexts: Mapping[str, Value], functions: Functions) -> Value:
    """Evaluate a whole tree; a filtered array leaves it as a plain list."""
    value = root.evaluate(Scope(contexts, functions))
    return list(value) if isinstance(value, FilteredArray) else value
