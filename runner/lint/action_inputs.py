"""What steps pass to actions: inputs that the action does not have, or that it needs."""

from collections.abc import Iterator

from runner.errors import Problem, did_you_mean
from runner.lint.findings import finding, one_of
from runner.lint.known_actions import ActionInputs, Actions
from runner.model import Pipeline, Step
from runner.parse import Gaps
from runner.source import Document

#: What GitHub reads from `with` itself, for actions that are containers.
_OF_CONTAINERS = frozenset({"args", "entrypoint"})


def check(
    pipeline: Pipeline, document: Document, actions: Actions, gaps: Gaps
) -> Iterator[Problem]:
    """Every `with` that does not fit the action, as far as the action is known."""
    for job in pipeline.jobs.values():
        for step in job.steps:
            known = actions(step.uses) if step.uses and "${{" not in step.uses else None
            if known is not None and (*step.path, "with") not in gaps:
                yield from _unknown(step, known, document)
                yield from _missing(step, known, document)


def _unknown(step: Step, known: ActionInputs, document: Document) -> Iterator[Problem]:
    names = {name.lower() for name in known.names}
    for name in step.with_:
        if name.lower() not in names | _OF_CONTAINERS and "${{" not in name:
            message = f"`{_called(step)}` has no input `{name}`"
            hint = did_you_mean(name, known.names)
            if not hint:
                hint = f"it has {one_of(sorted(known.names))}" if known.names else "it has none"
            position = document.locate((*step.path, "with", name), key=True)
            yield finding("unknown-action-input", message, position, hint)


def _missing(step: Step, known: ActionInputs, document: Document) -> Iterator[Problem]:
    given = {name.lower() for name in step.with_}
    for name in sorted(known.required):
        if name.lower() not in given:
            message = f"`{_called(step)}` needs the input `{name}`"
            position = document.locate((*step.path, "uses"))
            yield finding("missing-action-input", message, position, "give it under `with`")


def _called(step: Step) -> str:
    return (step.uses or "").partition("@")[0]
