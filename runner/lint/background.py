"""`wait` and `cancel`: background steps that were started before."""

from collections.abc import Iterable, Iterator

from runner.errors import Problem, did_you_mean
from runner.lint.findings import finding
from runner.model import Path, Pipeline, Step
from runner.source import Document


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every id that no background step above has."""
    for job in pipeline.jobs.values():
        started: dict[str, str] = {}
        for step in job.steps:
            for path, id_ in _named(step, document):
                if id_.lower() not in started:
                    yield _unknown(id_, path, document, started.values())
            if step.background:
                started[step.id.lower()] = step.id


def _named(step: Step, document: Document) -> Iterator[tuple[Path, str]]:
    """The ids that a step waits for or cancels, with where they stand."""
    if step.cancel is not None:
        yield (*step.path, "cancel"), step.cancel
    for index, id_ in enumerate(step.wait or ()):
        path = (*step.path, "wait", index)
        # One id need not stand in a list.
        is_list = document.locate(path) != document.locate(path[:-1])
        yield (path if is_list else path[:-1]), id_


def _unknown(id_: str, path: Path, document: Document, started: Iterable[str]) -> Problem:
    hint = did_you_mean(id_, started) or "it needs `id` and `background: true`, above this step"
    message = f"no background step `{id_}` is started before this one"
    return finding("unknown-background", message, document.locate(path), hint)
