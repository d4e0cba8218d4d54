"""Conditions that do not say what they seem to: always true, or never."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from runner.errors import Problem
from runner.expressions import STATUS_FUNCTIONS, equals, to_string
from runner.expressions.tree import And, Call, Compare, Context, Index, Items, Literal, Node, Or
from runner.expressions.values import differs
from runner.lint.findings import finding
from runner.lint.uses import Use
from runner.model import Pipeline
from runner.source import Document

#: How a result can be compared, and with what, so that only one without success passes.
_UNSUCCESSFUL: Mapping[Callable[..., bool], tuple[str, ...]] = {
    equals: ("failure", "cancelled", "skipped"),
    differs: ("success",),
}


def check(_: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every `if` that is text, and every one that waits for a failure it cannot see."""
    told = None
    for use in uses:
        if not use.scalar.is_condition:
            continue
        if use.is_whole:
            yield from _never_runs(use, document)
        elif told is not use.scalar:
            told = use.scalar
            yield _always_true(use, document)


def _always_true(use: Use, document: Document) -> Problem:
    message = (
        "this condition is always true: text around `${{ }}`, even a line break, makes it text"
    )
    hint = "put the whole condition into one `${{ }}`, or leave `${{ }}` out"
    return finding("always-true", message, document.locate(use.scalar.path), hint)


def _never_runs(use: Use, document: Document) -> Iterator[Problem]:
    if use.expression.calls & STATUS_FUNCTIONS or not _asks_for_failure(use.expression.root):
        return
    message = "this condition is never true: `success() &&` is implied, so every need succeeded"
    position = use.position(document, 0, len(use.expression.text))
    yield finding("never-runs", message, position, "start with `always() &&` or `failure() &&`")


def _asks_for_failure(node: Node) -> bool:
    """Whether the condition can only be true when a job that is needed did not succeed."""
    if isinstance(node, And):
        return any(map(_asks_for_failure, node.operands))
    if isinstance(node, Or):
        return all(map(_asks_for_failure, node.operands))
    if isinstance(node, Compare):
        sides = ((node.left, node.right), (node.right, node.left))
        wanted = _UNSUCCESSFUL.get(node.compare, ())
        return any(_is_result(result) and _text(value) in wanted for result, value in sides)
    if isinstance(node, Call) and node.function.name == "contains":
        results, value = node.arguments
        return _is_result(results) and _text(value) in _UNSUCCESSFUL[equals]
    return False


def _text(node: Node) -> str:
    return to_string(node.value).lower() if isinstance(node, Literal) else ""


def _is_result(node: Node) -> bool:
    """`needs.build.result` or `needs.*.result`."""
    return isinstance(node, Index) and _text(node.key) == "result" and _is_need(node.target)


def _is_need(node: Node) -> bool:
    return isinstance(node, Index | Items) and node.target == Context("needs")
