"""What the parts of an expression are about: the names that they refer to, the text they are."""

from collections.abc import Iterator

from runner.expressions import to_string
from runner.expressions.tree import (
    And,
    Call,
    Compare,
    Context,
    Index,
    Items,
    Literal,
    Node,
    Not,
    Or,
)

#: A reference in lower case; None is an index that only the run knows, and ends it.
Name = tuple[str | None, ...]
#: Functions whose result holds the text of their arguments.
_PASSING_ON = ("format", "join", "tojson", "fromjson", "case")


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for part in _parts(node):
        yield from walk(part)


def carried(node: Node) -> Iterator[Name]:
    """The references whose text the value of `node` may hold."""
    if isinstance(node, And | Or):
        parts = node.operands
    elif isinstance(node, Call) and node.function.name.lower() in _PASSING_ON:
        parts = node.arguments
    else:
        yield from filter(None, [name(node)])
        return
    for part in parts:
        yield from carried(part)


def name(node: Node) -> Name:
    """What the node refers to; empty when it is no reference."""
    if isinstance(node, Context):
        return (node.name,)
    if not isinstance(node, Index | Items) or not (target := name(node.target)):
        return ()
    return target if target[-1] is None else (*target, _key(node))


def lower(path: Name) -> Name:
    """A reference as names are compared: case does not matter in them."""
    return tuple(part and part.lower() for part in path)


def text(node: Node) -> str:
    """The text of a literal in lower case; empty for all else."""
    return to_string(node.value).lower() if isinstance(node, Literal) else ""


def _parts(node: Node) -> tuple[Node, ...]:
    match node:
        case And() | Or():
            return node.operands
        case Not():
            return (node.operand,)
        case Compare():
            return (node.left, node.right)
        case Call():
            return node.arguments
        case Index():
            return (node.target, node.key)
        case Items():
            return (node.target,)
    return ()


def _key(node: Index | Items) -> str | None:
    return text(node.key) if isinstance(node, Index) and isinstance(node.key, Literal) else None
