"""Which job waits for which: names that do not exist, and orders that cannot be."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from runner.errors import Position, Problem, did_you_mean
from runner.lint.findings import finding
from runner.model import Job, Pipeline
from runner.source import Document


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every `needs` that names no job, repeats itself, or closes a circle."""
    ids = {id_.lower(): id_ for id_ in pipeline.jobs}
    for job in pipeline.jobs.values():
        yield from _entries(job, ids, document)
    if pipeline.jobs and all(job.needs for job in pipeline.jobs.values()):
        yield finding(
            "no-start",
            "every job needs another one, so none can start",
            document.locate(("jobs",), key=True),
            "take `needs` from the job that comes first",
        )
    for cycle in _cycles(edges(pipeline)):
        yield _cycle(cycle, pipeline, document)


def edges(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """Job id -> the ids of the other jobs that it needs, without those that do not exist."""
    ids = {job.lower(): job for job in pipeline.jobs}
    found = {}
    for job in pipeline.jobs.values():
        needs = dict.fromkeys(ids.get(need.lower(), job.id) for need in job.needs)
        found[job.id] = tuple(need for need in needs if need != job.id)
    return found


def _entries(job: Job, ids: Mapping[str, str], document: Document) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, need in enumerate(job.needs):
        position = _position(job, index, document)
        if need.lower() not in ids:
            message = f"job `{job.id}` needs `{need}`, which does not exist"
            yield finding("unknown-job", message, position, did_you_mean(need, ids.values()))
        elif need.lower() == job.id.lower():
            yield finding("self-need", f"job `{job.id}` needs itself", position, "take it away")
        elif need.lower() in seen:
            message = f"job `{job.id}` needs `{need}` more than once"
            yield finding("duplicate-need", message, position)
        seen.add(need.lower())


def _position(job: Job, index: int, document: Document) -> Position:
    written = document.data["jobs"][job.id]["needs"]
    path = (*job.path, "needs")
    return document.locate((*path, index) if isinstance(written, list) else path)


def _cycles(graph: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Each circle as the jobs in it, every one before the one that it needs."""
    left = dict(graph)
    while cycle := _first_cycle(left):
        # The earliest job of the file leads, so that the report does not depend on the search.
        start = cycle.index(next(job for job in graph if job in cycle))
        yield cycle[start:] + cycle[:start]
        left = {job: needs for job, needs in left.items() if job not in cycle}


def _first_cycle(graph: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    inside = {job: [need for need in needs if need in graph] for job, needs in graph.items()}
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        # It names every job before one that needs it, and the first again at the end.
        return tuple(reversed(error.args[1][1:]))
    return ()


def _cycle(cycle: tuple[str, ...], pipeline: Pipeline, document: Document) -> Problem:
    job = pipeline.jobs[cycle[0]]
    following = [need.lower() for need in job.needs].index(cycle[1].lower())
    circle = " → ".join(f"`{name}`" for name in (*cycle, cycle[0]))
    return finding(
        "needs-cycle",
        f"jobs need each other in a circle: {circle}",
        _position(job, following, document),
        "take one of these `needs` away",
    )
