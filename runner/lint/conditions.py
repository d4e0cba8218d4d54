"""Conditions that do not say what they seem to: always true, or never."""

from collections.abc import Iterable, Iterator

from runner.errors import Problem
from runner.expressions import STATUS_FUNCTIONS, equals
from runner.expressions.tree import And, Call, Compare, Context, Index, Items, Literal, Node, Or
from runner.lint.findings import finding
from runner.lint.uses import Use
from runner.model import Pipeline
from runner.source import Document

_BAD_RESULTS = ("failure", "cancelled", "skipped")


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
    if isinstance(node, Compare) and node.compare is equals:
        return _is_bad(node.left, node.right) or _is_bad(node.right, node.left)
    if isinstance(node, Call) and node.function.name == "contains":
        return _is_bad(*node.arguments)
    return False


def _is_bad(result: Node, wanted: Node) -> bool:
    return (
        isinstance(wanted, Literal)
        and wanted.value in _BAD_RESULTS
        and isinstance(result, Index)
        and isinstance(result.key, Literal)
        and result.key.value == "result"
        and _is_need(result.target)
    )


def _is_need(node: Node) -> bool:
    """`needs.build` or `needs.*`."""
    return isinstance(node, Index | Items) and node.target == Context("needs")
