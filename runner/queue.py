"""The queue: runs enter, jobs are leased and finished, and what follows is decided on the way.

A decision is made on a copy of the run and written only if the run has not changed meanwhile;
otherwise it is made again. So expressions are evaluated without holding up other writers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from runner.errors import PipeError
from runner.events import Event, JobFinished, JobQueued, Result, RunFinished
from runner.model import Pipeline
from runner.parse.build import build
from runner.plan import Decision, JobState, Plan, PlannedJob, expanded, ready
from runner.source import load
from runner.store import Store, hot
from runner.store.process import is_alive, is_visible, process_identity
from runner.store.rows import StoredJob, StoredRun, Submission, blocked, job_state

__all__ = [
    "LEASE_SECONDS",
    "JobOutcome",
    "Lease",
    "LeaseLostError",
    "Submission",
    "cancel",
    "cancel_requests",
    "cancelled",
    "enqueue",
    "finish",
    "is_alive",
    "lease",
    "load_pipeline",
    "next_due",
    "process_identity",
    "renew",
    "rescue",
]

#: How long a lease holds without being renewed.
LEASE_SECONDS = 30.0
#: The reason of what ended because the process that did it is gone.
LOST = "lost"
_KEPT_CONTEXTS = {"github", "inputs", "vars"}


class LeaseLostError(PipeError):
    """The job does not belong to this lease any more, so its result is refused."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How an attempt ended. `retry_after`: seconds until the next one; None when none follows."""

    result: Result
    outputs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    failed_softly: bool = False
    retry_after: float | None = None
    environment: str = ""
    environment_url: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one attempt of a job until `deadline` (seconds since the epoch).

    `states` is how far all jobs of the run were; `events` is what leasing it recorded.
    """

    run: int
    key: str
    job: str
    attempt: int
    token: str
    deadline: float
    submission: Submission
    planned: PlannedJob
    states: Mapping[str, JobState]
    events: tuple[Event, ...] = ()


#: The jobs that a run takes over from an earlier one, by key: none.
_NOTHING: Mapping[str, JobOutcome] = {}


def enqueue(
    store: Store,
    submission: Submission,
    plan: Plan,
    now: float,
    reused: Mapping[str, JobOutcome] = _NOTHING,
) -> int:
    """Starts a run and returns its number, which is never used again.

    Once this returns, the run survives a loss of power. `github.run_id`, `run_number` and
    `run_attempt` are added to its contexts. `reused` has the outcomes of jobs that do not run, by
    key; each counts from when its needs have ended and its condition holds.
    """
    _refuse_secrets(submission)
    while True:
        numbers = hot.next_numbers(store.notes, submission.project, submission.file)
        change = _Change(_new_run(submission, plan, numbers, now), now, reused)
        change.settle()
        if hot.insert_run(store.promises, change.run, change.events):
            return change.run.id


def lease(
    store: Store, worker: str, *, run: int | None = None, limit: int = 1, now: float
) -> list[Lease]:
    """Up to `limit` runnable jobs: of that run, or else of all runs that belong to the queue."""
    claimed, events = hot.claim(store.notes, worker, run, limit, now, now + LEASE_SECONDS)
    runs = {id_: hot.load_run(store.notes, id_) for id_ in dict.fromkeys(id_ for id_, _ in claimed)}
    leases = []
    for id_, key in claimed:
        recorded = tuple(event for event in events if event.run == id_)
        events = [event for event in events if event.run != id_]
        leases.append(_lease(runs[id_], key, now + LEASE_SECONDS, recorded))
    return leases


def renew(store: Store, lease: Lease, now: float) -> bool:
    """Holds the lease for another `LEASE_SECONDS`; False when it is lost."""
    return hot.renew(store.notes, lease.run, lease.key, lease.token, now + LEASE_SECONDS)


def finish(store: Store, lease: Lease, outcome: JobOutcome, now: float) -> list[Event]:
    """Ends an attempt and all that is decided by it; returns the events recorded with it.

    Once this returns, the result survives a loss of power. Raises LeaseLostError when the lease is
    not held any more.
    """
    return _change(store, lease.run, now, lambda change: _end_attempt(change, lease, outcome))


def cancel(store: Store, run: int, now: float) -> list[Event]:
    """Asks a run to stop: what has not started is cancelled, workers are told to end the rest.

    Jobs whose condition holds in a cancelled run go on. A finished run stays as it is.
    """
    return _change(store, run, now, lambda change: change.cancel())


def cancelled(store: Store, run: int) -> bool:
    """Whether somebody asked the run to stop."""
    return hot.is_cancelled(store.notes, run)


def cancel_requests(store: Store, worker: str) -> list[tuple[int, str]]:
    """The runs and keys of jobs that this worker should stop: cancelled, or by `fail-fast`."""
    return hot.jobs_to_cancel(store.notes, worker)


def next_due(store: Store, run: int) -> float | None:
    """When the run's next job that waits for its time becomes runnable, in seconds since the epoch."""
    return hot.next_due(store.notes, run)


def rescue(store: Store, now: float) -> list[Event]:
    """Ends the runs whose process is gone as failures; returns the events recorded for them.

    A process in another container is gone when it has not renewed a lease for long.
    """
    events: list[Event] = []
    for run, owner, held_until in hot.owned_runs(store.notes):
        is_silent = now > held_until + LEASE_SECONDS
        if not is_alive(owner) or (is_silent and not is_visible(owner)):
            events += _change(store, run, now, lambda change: change.lose())
    return events


@lru_cache(maxsize=64)
def load_pipeline(file: str, text: str) -> Pipeline:
    """The pipeline in `text`, known to users as `file`.

    It has to have passed `parse` once, as all that is planned has: it is not checked again, which
    takes longer than all else that is done with it here.
    """
    return build(load(text, file))


class _Change:
    """A run on its way to its next state, and the events that tell how it got there."""

    def __init__(
        self, run: StoredRun, now: float, reused: Mapping[str, JobOutcome] = _NOTHING
    ) -> None:
        self.run = run
        self.events: list[Event] = []
        self._now = now
        self._reused = reused

    def settle(self) -> None:
        """Does what follows until nothing does: a job that is skipped may free another."""
        submission = self.run.submission
        pipeline = load_pipeline(submission.file, submission.text)
        before = None
        while self.run != before and self.run.state != "finished":
            before = self.run
            self._apply(
                ready(
                    pipeline,
                    before.plan,
                    _states(before),
                    submission.contexts,
                    before.cancel_requested,
                )
            )

    def end(self, key: str, outcome: JobOutcome) -> None:
        """The job is finished for good."""
        order = 1 + max(job.finished_order for job in self.run.jobs.values())
        job = replace(
            self.run.jobs[key],
            state="finished",
            result=outcome.result,
            reason=outcome.reason,
            outputs=outcome.outputs,
            failed_softly=outcome.failed_softly,
            finished_at=self._now,
            finished_order=order,
        )
        self._put(job)
        self._tell_end(job, outcome, final=True)

    def retry(self, key: str, outcome: JobOutcome, delay: float) -> None:
        """The attempt is finished, and another follows in `delay` seconds."""
        job = self.run.jobs[key]
        self._tell_end(job, outcome, final=False)
        self._queue(replace(job, attempt=job.attempt + 1), delay)

    def cancel(self) -> None:
        """Somebody asked the run to stop."""
        if self.run.state != "finished":
            self.run = replace(self.run, cancel_requested=True)

    def lose(self) -> None:
        """The process that ran it is gone: what it had begun failed, the rest never came."""
        if self.run.state == "finished":
            return
        for job in self.run.jobs.values():
            if job.state != "finished":
                result: Result = "skipped" if job.state == "blocked" else "failure"
                self.end(job.key, JobOutcome(result, reason=LOST))
        self._finish("failure", LOST)

    def _apply(self, decision: Decision) -> None:
        self._expand(decision)
        for key in decision.skip:
            self.end(key, JobOutcome("skipped"))
        for key, message in decision.fail.items():
            self.end(key, JobOutcome("failure", reason=message))
        for key, reason in decision.cancel.items():
            self._stop(self.run.jobs[key], reason)
        self._take_over()
        for key in decision.start:
            if self.run.jobs[key].state == "blocked":
                self._queue(self.run.jobs[key], 0.0)
        if decision.result is not None:
            self._finish(decision.result, "")

    def _expand(self, decision: Decision) -> None:
        if not decision.expand:
            return
        jobs: dict[str, StoredJob] = {}
        for job in self.run.jobs.values():
            for leg in decision.expand.get(job.key, ()):
                jobs[leg.key] = blocked(leg, job.position, self.run.submission)
            if job.key not in decision.expand:
                jobs[job.key] = job
        self.run = replace(self.run, plan=expanded(self.run.plan, decision), jobs=jobs)

    def _take_over(self) -> None:
        """What is reused has ended; but a placeholder with that key may yet be skipped."""
        runnable = {job.key for job in self.run.plan.jobs if job.expanded}
        for key, outcome in self._reused.items():
            if key in runnable and self.run.jobs[key].state == "blocked":
                self.end(key, outcome)

    def _queue(self, job: StoredJob, delay: float) -> None:
        self._put(
            replace(
                job,
                state="scheduled" if delay > 0 else "queued",
                due_at=self._now + delay,
                queued_at=self._now,
            )
        )
        self.events.append(
            JobQueued(
                run=self.run.id,
                time=self._now,
                job=job.key,
                attempt=job.attempt,
                name=job.name,
                delay=delay,
            )
        )

    def _stop(self, job: StoredJob, reason: str) -> None:
        """A running job is told through its row, and ends when its worker says so."""
        if job.state == "running":
            self._put(replace(job, cancel_requested=True))
        else:
            self.end(job.key, JobOutcome("cancelled", reason=reason))

    def _finish(self, result: Result, reason: str) -> None:
        self.run = replace(
            self.run, state="finished", result=result, reason=reason, finished_at=self._now
        )
        self.events.append(
            RunFinished(run=self.run.id, time=self._now, result=result, reason=reason)
        )

    def _put(self, job: StoredJob) -> None:
        self.run = replace(self.run, jobs={**self.run.jobs, job.key: job})

    def _tell_end(self, job: StoredJob, outcome: JobOutcome, *, final: bool) -> None:
        self.events.append(
            JobFinished(
                run=self.run.id,
                time=self._now,
                job=job.key,
                attempt=job.attempt,
                name=job.name,
                result=outcome.result,
                reason=outcome.reason,
                final=final,
                softly=outcome.failed_softly,
                outputs=outcome.outputs,
                environment=outcome.environment,
                environment_url=outcome.environment_url,
            )
        )


def _change(store: Store, run: int, now: float, act: Callable[[_Change], None]) -> list[Event]:
    while True:
        before = hot.load_run(store.notes, run)
        change = _Change(before, now)
        act(change)
        change.settle()
        if change.run == before:
            return []
        if hot.save_run(store.promises, before, change.run, change.events):
            return change.events


def _end_attempt(change: _Change, lease: Lease, outcome: JobOutcome) -> None:
    job = change.run.jobs.get(lease.key)
    if job is None or job.state != "running" or job.token != lease.token:
        raise LeaseLostError(
            f"attempt {lease.attempt} of `{lease.key}` in run {lease.run} is not ours any more"
        )
    stopping = change.run.cancel_requested or job.cancel_requested
    if outcome.retry_after is None or stopping:
        change.end(lease.key, outcome)
    else:
        change.retry(lease.key, outcome, outcome.retry_after)


def _new_run(submission: Submission, plan: Plan, numbers: tuple[int, int], now: float) -> StoredRun:
    id_, run_number = numbers
    known = {"run_id": str(id_), "run_number": str(run_number), "run_attempt": "1"}
    github = {**submission.contexts.get("github", {}), **known}
    submission = replace(submission, contexts={**submission.contexts, "github": github})
    return StoredRun(
        id=id_,
        run_number=run_number,
        submission=submission,
        plan=plan,
        jobs={job.key: blocked(job, at, submission) for at, job in enumerate(plan.jobs)},
        created_at=now,
    )


def _lease(run: StoredRun, key: str, deadline: float, events: tuple[Event, ...]) -> Lease:
    job = run.jobs[key]
    planned = next(planned for planned in run.plan.jobs if planned.key == key)
    return Lease(
        run=run.id,
        key=key,
        job=job.job,
        attempt=job.attempt,
        token=job.token,
        deadline=deadline,
        submission=run.submission,
        planned=planned,
        states=_states(run),
        events=events,
    )


def _states(run: StoredRun) -> dict[str, JobState]:
    return {key: job_state(job) for key, job in run.jobs.items()}


def _refuse_secrets(submission: Submission) -> None:
    unknown = submission.contexts.keys() - _KEPT_CONTEXTS
    if unknown:
        raise PipeError(f"these contexts must not be stored: {', '.join(sorted(unknown))}")
    if submission.contexts.get("github", {}).get("token"):
        raise PipeError("`github.token` is a secret and must not be stored")
