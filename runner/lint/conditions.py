"""Conditions that do not say what they seem to: always true, never, or about what cannot be."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from runner.errors import Problem
from runner.expressions import STATUS_FUNCTIONS, equals
from runner.expressions.tree import And, Call, Compare, Context, Index, Items, Literal, Node, Or
from runner.expressions.values import differs
from runner.lint import possible
from runner.lint.demands import demands
from runner.lint.findings import finding
from runner.lint.nodes import text
from runner.lint.uses import Use
from runner.model import Path, Pipeline, Templated
from runner.parse import Gaps
from runner.source import Document

#: How a result can be compared, and with what, so that only one without success passes.
_UNSUCCESSFUL: Mapping[Callable[..., bool], tuple[str, ...]] = {
    equals: ("failure", "cancelled", "skipped"),
    differs: ("success",),
}


def check(
    pipeline: Pipeline, document: Document, uses: Iterable[Use], gaps: Gaps
) -> Iterator[Problem]:
    """Every `if` that is text or decided already, or asks for what it cannot see."""
    known = possible.values(pipeline, gaps)
    yield from _switched_by_hand(pipeline, document)
    told = None
    for use in uses:
        if not use.scalar.is_condition:
            continue
        if use.is_whole:
            yield from possible.check(use, document, known)
            yield from _decided(use, document)
        elif told is not use.scalar:
            told = use.scalar
            yield _always_text(use, document)


def _switched_by_hand(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    for job in pipeline.jobs.values():
        conditions = {job.path: job.condition} | {each.path: each.condition for each in job.steps}
        for path, condition in conditions.items():
            if isinstance(condition, bool):
                yield _switch((*path, "if"), condition, document)


def _switch(path: Path, value: Templated, document: Document) -> Problem:
    message = f"this is switched {'on' if value else 'off'} by hand"
    return finding("constant-condition", message, document.locate(path), "take it out, or say when")


def _always_text(use: Use, document: Document) -> Problem:
    message = (
        "this condition is always true: text around `${{ }}`, even a line break, makes it text"
    )
    hint = "put the whole condition into one `${{ }}`, or leave `${{ }}` out"
    return finding("always-true", message, document.locate(use.scalar.path), hint)


def _decided(use: Use, document: Document) -> Iterator[Problem]:
    root, position = use.expression.root, use.position(document, 0, len(use.expression.text))
    if isinstance(root, Literal) and isinstance(root.value, bool):
        yield _switch(use.scalar.path, root.value, document)
    elif found := _flaw(use):
        yield finding(found[0], found[1], position, found[2])


def _flaw(use: Use) -> tuple[str, str, str] | None:
    """Code, message and hint for a condition that is never, or always true."""
    root = use.expression.root
    can_hold, can_fail = demands(root) is not None, demands(root, wanted=False) is not None
    if not use.expression.references and not (can_hold and can_fail):
        code, when = ("always-true", "always") if can_hold else ("never-runs", "never")
        return code, f"this condition is {when} true: it asks for nothing", "say when it holds"
    if not can_hold:
        message = "this condition is never true: no value can satisfy all of it"
        return "never-runs", message, "use `||` where one of several may hold"
    if not can_fail:
        message = "this condition is always true: there is no value that it does not hold for"
        return "always-true", message, "use `&&` where all of several must hold"
    if not use.expression.calls & STATUS_FUNCTIONS and _of_job(use) and _asks_for_failure(root):
        message = "this condition is never true: `success() &&` is implied, so every need succeeded"
        return "never-runs", message, "start with `always() &&` or `failure() &&`"
    return None


def _of_job(use: Use) -> bool:
    # In a step, `success()` is about the steps above it, and a job with `always()` sees failures.
    return len(use.scalar.path) == len(("jobs", "build", "if"))


def _asks_for_failure(node: Node) -> bool:
    """Whether the condition can only be true when a job that is needed did not succeed."""
    if isinstance(node, And):
        return any(map(_asks_for_failure, node.operands))
    if isinstance(node, Or):
        return all(map(_asks_for_failure, node.operands))
    if isinstance(node, Compare):
        sides = ((node.left, node.right), (node.right, node.left))
        wanted = _UNSUCCESSFUL.get(node.compare, ())
        return any(_is_result(result) and text(value) in wanted for result, value in sides)
    if isinstance(node, Call) and node.function.name == "contains":
        results, value = node.arguments
        return _is_result(results) and text(value) in _UNSUCCESSFUL[equals]
    return False


def _is_result(node: Node) -> bool:
    """`needs.build.result` or `needs.*.result`."""
    return isinstance(node, Index) and text(node.key) == "result" and _is_need(node.target)


def _is_need(node: Node) -> bool:
    return isinstance(node, Index | Items) and node.target == Context("needs")
