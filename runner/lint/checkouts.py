"""Checkouts of code that a stranger proposes, in a run that has the repository's secrets."""

from collections.abc import Collection, Iterable, Iterator
from functools import reduce

from runner.errors import Problem
from runner.expressions.values import fold
from runner.lint.demands import Values, demands
from runner.lint.findings import finding
from runner.lint.nodes import carried, lower
from runner.lint.uses import Use
from runner.model import Path, Pipeline
from runner.source import Document

#: Events of strangers that start a run with secrets.
_TRUSTING = ("pull_request_target", "workflow_run")
_EVENT = ("github", "event_name")
_PROPOSED_NAMES = """
    head_ref
    event.number
    event.pull_request.number
    event.pull_request.head
    event.pull_request.merge_commit_sha
    event.workflow_run.head_branch
    event.workflow_run.head_sha
    event.workflow_run.head_commit
    event.workflow_run.head_repository
"""
#: What leads to the code that was proposed; all below such a name does, too.
_PROPOSED = tuple(("github", *name.split(".")) for name in _PROPOSED_NAMES.split())


def check(pipeline: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every such checkout, where no condition keeps these events away."""
    events = [event for event in _TRUSTING if event in pipeline.on]
    found = list(uses)
    if not events:
        return
    kept_out = {use.scalar.path[:-1] for use in found if _keeps_out(use, events)}
    for use in found:
        match use.scalar.path:
            case ("jobs", str(job), "steps", int(step), "with", "ref" | "repository"):
                above: tuple[Path, ...] = (("jobs", job), ("jobs", job, "steps", step))
                name = (pipeline.jobs[job].steps[step].uses or "").partition("@")[0].lower()
                if name == "actions/checkout" and kept_out.isdisjoint(above):
                    yield from _proposed(use, events[0], document)


def _proposed(use: Use, event: str, document: Document) -> Iterator[Problem]:
    held = set(carried(use.expression.root))
    for reference in use.expression.references:
        name = lower(reference.path)
        if name in held and any(name[: len(proposed)] == proposed for proposed in _PROPOSED):
            position = use.position(document, reference.offset, reference.length)
            message = f"code of strangers is checked out, and on `{event}` secrets are at hand"
            hint = "use `pull_request`, or run nothing of it"
            yield finding("untrusted-checkout", message, position, hint)
            return


def _keeps_out(use: Use, events: Collection[str]) -> bool:
    """Whether a condition cannot be true for any of the events."""
    if not use.scalar.is_condition or not use.is_whole:
        return False
    wanted = demands(use.expression.root)
    theirs = reduce(Values.__or__, (Values(frozenset([fold(event)])) for event in events))
    return wanted is None or not wanted.get(_EVENT, theirs) & theirs
