"""Which jobs of a pipeline need which: the order, ancestors, and a part that stands by itself."""

import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from runner.errors import InvalidInputError, did_you_mean
from runner.model import Job, Pipeline

#: id -> the ids that it needs
Needs = Mapping[str, tuple[str, ...]]


def select(pipeline: Pipeline, jobs: Collection[str]) -> Pipeline:
    """The pipeline reduced to these jobs (by id, case ignored) and all that they need.

    Raises InvalidInputError for a job that does not exist.
    """
    needs = needs_of(pipeline)
    ids = _ids(pipeline)
    named = {_existing(ids, job, f"`{job}` is asked for") for job in jobs}
    kept = named | {ancestor for job in named for ancestor in ancestors(needs, job)}
    return replace(pipeline, jobs={id_: job for id_, job in pipeline.jobs.items() if id_ in kept})


def called_pipelines(pipeline: Pipeline) -> dict[str, Pipeline]:
    """The pipelines that a pipeline calls, and those that they call, by what calls name."""
    found: dict[str, Pipeline] = {}
    ahead = [pipeline]
    while ahead:
        for job in ahead.pop().jobs.values():
            if job.call and job.call.target not in found:
                found[job.call.target] = pipeline.called[job.call.target]
                ahead.append(found[job.call.target])
    return found


def needs_of(pipeline: Pipeline) -> Needs:
    """What each job needs, as ids. Raises InvalidInputError for a job that does not exist."""
    ids = _ids(pipeline)
    return {job.id: _needs(job, ids) for job in pipeline.jobs.values()}


def ordered(needs: Needs) -> Iterator[str]:
    """The ids with each after what it needs, otherwise in the order of the file."""
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InvalidInputError(f"jobs need each other in a circle: {circle}") from error
    place = {id_: at for at, id_ in enumerate(needs)}
    free = [(place[id_], id_) for id_ in sorter.get_ready()]
    heapq.heapify(free)
    while free:
        _, id_ = heapq.heappop(free)
        yield id_
        sorter.done(id_)
        for freed in sorter.get_ready():
            heapq.heappush(free, (place[freed], freed))


def ancestors(needs: Needs, job: str) -> set[str]:
    """All that must have ended before the job."""
    found: set[str] = set()
    ahead = list(needs[job])
    while ahead:
        id_ = ahead.pop()
        if id_ not in found:
            found.add(id_)
            ahead.extend(needs[id_])
    return found


def _ids(pipeline: Pipeline) -> dict[str, str]:
    """Lower-case id -> id: a reference to a job ignores case."""
    return {id_.lower(): id_ for id_ in pipeline.jobs}


def _needs(job: Job, ids: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_existing(ids, need, f"job `{job.id}` needs `{need}`") for need in job.needs)


def _existing(ids: Mapping[str, str], wanted: str, use: str) -> str:
    if wanted.lower() in ids:
        return ids[wanted.lower()]
    hint = did_you_mean(wanted, ids.values())
    raise InvalidInputError(f"{use}, which does not exist", hint=hint)
