"""The grammar of `${{ }}`: tokens in, a tree out, by precedence climbing."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf, nan
from operator import attrgetter
from typing import NoReturn

from runner.errors import did_you_mean, quoted
from runner.expressions.functions import FUNCTIONS, KNOWN, Function, Functions, external
from runner.expressions.tokens import ExpressionError, Token, scan
from runner.expressions.tree import (
    NO_FUNCTIONS,
    And,
    Call,
    Compare,
    Context,
    Expression,
    Index,
    Items,
    Literal,
    Node,
    Not,
    Or,
    Reference,
)
from runner.expressions.values import (
    Value,
    at_least,
    at_most,
    differs,
    equals,
    greater,
    less,
    to_string,
)

#: GitHub's contexts, and ours: what a `deploy` step knows of itself.
CONTEXTS = frozenset(
    {
        *("github", "env", "vars", "job", "jobs", "steps", "runner"),
        *("secrets", "strategy", "matrix", "needs", "inputs"),
        *("deploy", "environment"),
    }
)
#: The longest expression, in characters.
MAX_LENGTH = 21_000
#: The most levels of a tree; chains of `&&` and of `||` are one level each.
MAX_DEPTH = 50
#: The most open brackets; more than the tree may be deep, because parentheses are not in it.
_MAX_OPEN = 64

_DEPTH = attrgetter("depth")
_POWERS = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4}
_COMPARISONS: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": equals,
    "!=": differs,
    "<": less,
    "<=": at_most,
    ">": greater,
    ">=": at_least,
}
_LITERALS: Mapping[str, Value] = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": nan,
    "Infinity": inf,
}


def parse(
    text: str, contexts: Collection[str] = CONTEXTS, functions: Collection[str] = FUNCTIONS
) -> Expression:
    """Parse what stands inside `${{ }}`; the two collections are the lower-case names known here.

    Raises ExpressionError, also for an unknown name or a wrong number of arguments.
    """
    return _parse(text, frozenset(contexts), frozenset(functions))


def evaluate(
    text: str, contexts: Mapping[str, Value], functions: Functions = NO_FUNCTIONS
) -> Value:
    """Parse and evaluate what stands inside `${{ }}`; raises ExpressionError."""
    return parse(text).evaluate(contexts, functions)


@lru_cache(maxsize=4096)
def _parse(text: str, contexts: frozenset[str], functions: frozenset[str]) -> Expression:
    check_length(text)
    return _Parser(text, contexts, functions).expression()


def check_length(text: str) -> None:
    """Refuse an expression that is too long."""
    if len(text) > MAX_LENGTH:
        message = f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed"
        raise ExpressionError(message, 0, len(text))


def check_depth(nodes: Iterable[Node], offset: int = 0, length: int = 1) -> int:
    """The depth of a node above `nodes`; refuses one that is too deep."""
    depth = 1 + max(map(_DEPTH, nodes), default=0)
    if depth > MAX_DEPTH:
        message = f"the expression nests deeper than {MAX_DEPTH} levels"
        raise ExpressionError(message, offset, length)
    return depth


def call(function: Function, arguments: tuple[Node, ...], offset: int = 0, length: int = 1) -> Call:
    """A call with as many arguments as the function takes, at `offset`; else ExpressionError."""
    if refusal := function.refusal(len(arguments)):
        raise ExpressionError(refusal, offset, length)
    return Call(function, arguments, offset, length, check_depth(arguments, offset, length))


def conjunction(operands: Sequence[Node], offset: int = 0, length: int = 1) -> And:
    """`a && b && c`, in one level with what its operands already join."""
    flat = [
        each
        for operand in operands
        for each in (operand.operands if isinstance(operand, And) else (operand,))
    ]
    return And(tuple(flat), check_depth(flat, offset, length))


def disjunction(operands: Sequence[Node], offset: int = 0, length: int = 1) -> Or:
    """`a || b || c`, in one level with what its operands already join."""
    flat = [
        each
        for operand in operands
        for each in (operand.operands if isinstance(operand, Or) else (operand,))
    ]
    return Or(tuple(flat), check_depth(flat, offset, length))


class _Parser:
    """Walks the tokens of one text once, from left to right."""

    def __init__(self, text: str, contexts: frozenset[str], functions: frozenset[str]) -> None:
        self.text = text
        self.contexts = contexts
        self.functions = functions
        self.tokens = iter(scan(text))
        self.token = next(self.tokens)
        self.open = 0
        self.end = 0
        self.calls: set[str] = set()
        self.references: list[Reference] = []

    def expression(self) -> Expression:
        if self.token.kind == "end":
            raise ExpressionError("an expression was expected", 0, max(len(self.text), 1))
        root = self._binary(0)
        if self.token.kind != "end":
            self._unexpected("an operator")
        references = sorted(self.references, key=lambda each: each.offset)
        return Expression(self.text, root, frozenset(self.calls), tuple(references))

    def _advance(self) -> Token:
        token = self.token
        self.token = next(self.tokens, token)
        self.end = token.offset + len(token.text)
        return token

    def _expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            self._unexpected("a name" if kind == "name" else quoted(kind))
        return self._advance()

    def _binary(self, least: int) -> Node:
        """Operands joined by operators that bind tighter than `least`."""
        left = self._unary()
        while (power := _POWERS.get(self.token.kind, 0)) > least:
            if self.token.kind in ("&&", "||"):
                left = self._chain(left, power)
            else:
                left = self._comparison(left, power)
        return left

    def _chain(self, first: Node, power: int) -> Node:
        operator = self.token
        operands = [first]
        while self.token.kind == operator.kind:
            self._advance()
            operands.append(self._binary(power))
        join = conjunction if operator.kind == "&&" else disjunction
        return join(operands, operator.offset, len(operator.text))

    def _comparison(self, left: Node, power: int) -> Node:
        operator = self._advance()
        right = self._binary(power)
        depth = check_depth((left, right), operator.offset, len(operator.text))
        return Compare(_COMPARISONS[operator.kind], left, right, depth)

    def _unary(self) -> Node:
        bangs = []
        while self.token.kind == "!":
            bangs.append(self._advance())
        if self.token.kind == "literal":
            node: Node = Literal(self._advance().value)
        else:
            node = self._postfix()
        for bang in reversed(bangs):
            node = Not(node, check_depth((node,), bang.offset))
        return node

    def _postfix(self) -> Node:
        """A primary with its `.name`, `[key]` and `*`; a literal takes none of them."""
        first = self.token
        node = self._primary()
        if isinstance(node, Literal) and first.kind != "(":
            return node
        path: list[str | None] = [first.text.lower()]
        tracked, end = first.kind == "name" and isinstance(node, Context), self.end
        while self.token.kind in (".", "["):
            node, key = self._access(node)
            if path[-1] is not None:
                path.append(key)
                end = self.end
        if tracked:
            self.references.append(Reference(tuple(path), first.offset, end - first.offset))
        return node

    def _primary(self) -> Node:
        token = self.token
        if token.kind == "(":
            return self._group()
        if token.kind != "name":
            self._unexpected("a value")
        self._advance()
        if token.text in _LITERALS:
            return Literal(_LITERALS[token.text])
        return self._call(token) if self.token.kind == "(" else self._context(token)

    def _access(self, target: Node) -> tuple[Node, str | None]:
        """What a `.` or `[` makes of `target`, and the key if it is known."""
        opening = self._open() if self.token.kind == "[" else self._advance()
        key: Node | None = None
        if self.token.kind == "*":
            self._advance()
        elif opening.kind == "[":
            key = self._binary(0)
        else:
            key = Literal(self._expect("name").text)
        if opening.kind == "[":
            self._close("]")
        if key is None:
            return Items(target, check_depth((target,), opening.offset)), None
        node = Index(target, key, check_depth((target, key), opening.offset))
        return node, to_string(key.value) if isinstance(key, Literal) else None

    def _group(self) -> Node:
        self._open()
        node = self._binary(0)
        self._close(")")
        return node

    def _open(self) -> Token:
        self.open += 1
        if self.open > _MAX_OPEN:
            message = f"more than {_MAX_OPEN} brackets are open"
            raise ExpressionError(message, self.token.offset)
        return self._advance()

    def _close(self, kind: str) -> None:
        self._expect(kind)
        self.open -= 1

    def _context(self, token: Token) -> Node:
        name = token.text.lower()
        if name not in self.contexts:
            candidates = [*sorted(self.contexts), *_LITERALS]
            raise _unknown("context", token, name in CONTEXTS, candidates)
        return Context(name)

    def _call(self, token: Token) -> Node:
        name = token.text.lower()
        if name not in self.functions:
            candidates = [KNOWN[each].name if each in KNOWN else each for each in self.functions]
            raise _unknown("function", token, name in FUNCTIONS, sorted(candidates))
        self.calls.add(name)
        arguments = self._arguments()
        function = KNOWN.get(name) or external(name)
        return call(function, arguments, token.offset, len(token.text))

    def _arguments(self) -> tuple[Node, ...]:
        self._open()
        arguments: list[Node] = []
        if self.token.kind != ")":
            arguments.append(self._binary(0))
            while self.token.kind == ",":
                self._advance()
                arguments.append(self._binary(0))
        self._close(")")
        return tuple(arguments)

    def _unexpected(self, expected: str) -> NoReturn:
        token = self.token
        found = quoted(token.text) if token.text else "end of the expression"
        message = f"unexpected {found}; expected {expected}"
        raise ExpressionError(message, token.offset, max(len(token.text), 1))


def _unknown(what: str, token: Token, elsewhere: bool, names: Sequence[str]) -> ExpressionError:
    name = quoted(token.text)
    message = f"{what} {name} is not available here" if elsewhere else f"unknown {what} {name}"
    hint = did_you_mean(token.text, names) or f"available here: {', '.join(names)}"
    return ExpressionError(message, token.offset, len(token.text), hint=hint)
