"""The jobs that a run is going to have, as far as that is known before it starts."""

from collections.abc import Iterator
from dataclasses import dataclass

import click

from runner.cli.loading import Loaded
from runner.cli.permissions import permissions
from runner.cli.preparing import Preparation
from runner.model import Job, Pipeline
from runner.plan import PlannedJob, caller_of, ready
from runner.terminal.words import visible


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A job, the pipeline that it is in, and whether it has all the secrets of the run."""

    pipeline: Pipeline
    job: Job
    inherits: bool


def jobs_to_run(prepared: Preparation) -> list[Upcoming]:
    """The jobs that nothing has decided against by now: no condition, and no earlier run.

    Of a call that is not known to start all jobs may come, and those that they call.
    """
    decision = ready(prepared.pipeline, prepared.plan, {}, prepared.contexts)
    over = {*decision.skip, *decision.fail, *prepared.reused}
    found: dict[tuple[str, str, bool], Upcoming] = {}
    inside: dict[str, Upcoming] = {}
    for leg in prepared.plan.jobs:
        each = inside[leg.key] = _upcoming(leg, inside.get(caller_of(leg.key)), prepared)
        if leg.key not in over:
            _add(each, found)
            if leg.inputs is None:
                _add_called(each, prepared.pipeline, found)
    return list(found.values())


def show(prepared: Preparation, loaded: Loaded) -> None:
    """Print what would run, and what GitHub's token could do there."""
    if granted := permissions(loaded.document.data):
        click.echo(f"{visible(granted)}\n")
    inside: dict[str, Upcoming] = {}
    for job in prepared.plan.jobs:
        each = inside[job.key] = _upcoming(job, inside.get(caller_of(job.key)), prepared)
        needs = f"  needs {', '.join(job.needs)}" if job.needs else ""
        if job.key in prepared.reused:
            click.echo(f"{visible(job.name)}{needs}  ({prepared.reused[job.key].reason})")
            continue
        granted = permissions(loaded.document_of(each.pipeline).data["jobs"][job.job])
        may = f"  {visible(granted)}" if granted else ""
        click.echo(f"{visible(job.name)}{needs}{may}{_note(job, each.job)}")
        for step in each.job.steps:
            shown = step.name or (step.run or step.uses or "").strip().partition("\n")[0]
            click.echo(f"    {visible(shown)}")


def _note(leg: PlannedJob, job: Job) -> str:
    calls = f"  calls {visible(job.call.target)}" if job.call else ""
    if leg.expanded:
        return calls
    what = "what it runs is" if job.call else "matrix and name are"
    return f"{calls}  ({what} known when its needs are done)"


def _upcoming(leg: PlannedJob, caller: Upcoming | None, prepared: Preparation) -> Upcoming:
    if caller is None:
        return Upcoming(prepared.pipeline, prepared.pipeline.jobs[leg.job], True)
    return next(each for each in _inside(caller, prepared.pipeline) if each.job.id == leg.job)


def _inside(caller: Upcoming, pipeline: Pipeline) -> Iterator[Upcoming]:
    """The jobs of a call; none of any other job."""
    if caller.job.call:
        called = pipeline.called[caller.job.call.target]
        inherits = caller.inherits and caller.job.call.secrets is None
        for job in called.jobs.values():
            yield Upcoming(called, job, inherits)


def _add(each: Upcoming, found: dict[tuple[str, str, bool], Upcoming]) -> bool:
    """Whether it is new."""
    key = (each.pipeline.file, each.job.id, each.inherits)
    is_new = key not in found
    found.setdefault(key, each)
    return is_new


def _add_called(
    caller: Upcoming, pipeline: Pipeline, found: dict[tuple[str, str, bool], Upcoming]
) -> None:
    for each in _inside(caller, pipeline):
        if _add(each, found):
            _add_called(each, pipeline, found)
