"""How much of a run is done, as far as its jobs and their steps are known."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from runner.queue.definitions import definition
from runner.store import Store, census
from runner.store.rows import StoredJob, StoredRun


@dataclass(frozen=True, slots=True)
class Progress:
    """Jobs and steps that are done, of those that are known; one more may turn up on the way."""

    jobs_done: int
    jobs: int
    steps_done: int
    steps: int

    @property
    def percent(self) -> int:
        """100 only when all is done."""
        return 100 * self.steps_done // self.steps if self.steps else 100


def progress(store: Store, run: StoredRun) -> Progress:
    """How far the run is; a job whose steps are not known counts as one step."""
    entered = {planned.key for planned in run.plan.jobs if planned.inputs is not None}
    jobs = [job for job in run.jobs.values() if job.key not in entered]
    ended = census.steps_ended(store.notes, run.id)
    steps = {job.key: _steps(run, job) for job in jobs}
    done = [_done(job, steps[job.key], ended) for job in jobs]
    finished = sum(job.state == "finished" for job in jobs)
    return Progress(finished, len(jobs), sum(done), sum(steps.values()))


def _steps(run: StoredRun, job: StoredJob) -> int:
    # What cannot be read, or is not known before its matrix is, has no steps to count.
    with suppress(Exception):
        return max(1, len(definition(run, job.key).steps))
    return 1


def _done(job: StoredJob, steps: int, ended: Mapping[tuple[str, int], int]) -> int:
    if job.state == "finished":
        return steps
    return min(ended.get((job.key, job.attempt), 0), steps - 1)
