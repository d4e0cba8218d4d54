"""The queue: runs enter, jobs are leased and finished, and what follows is decided on the way.

A decision is made on a copy of the run and written only if the run has not changed meanwhile;
otherwise it is made again. So expressions are evaluated without holding up other writers.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from runner.concurrency import ChangedMeanwhileError, Lines, evaluated
from runner.errors import InvalidInputError, PipeError, Problem
from runner.events import Event, JobFinished, JobQueued, Result, RunFinished, RunStarted
from runner.model import Concurrency, Job, Pipeline
from runner.parse.build import build
from runner.plan import (
    Contexts,
    Decision,
    JobState,
    Plan,
    PlannedJob,
    called_by,
    callers_of,
    expanded,
    explained,
    inside,
    job_contexts,
    ready,
    unfolded,
)
from runner.source import load
from runner.store import Store, hot, lines
from runner.store.lines import Wait
from runner.store.process import is_alive, is_visible, process_identity
from runner.store.rows import RunEdit, StoredJob, StoredRun, Submission, blocked, job_state

__all__ = [
    "LEASE_SECONDS",
    "JobOutcome",
    "Lease",
    "LeaseLostError",
    "Submission",
    "Wait",
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
    "reason",
    "renew",
    "rescue",
    "stay",
    "waits",
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
    #: The calls that the job is in, the outermost first.
    callers: tuple[PlannedJob, ...]
    states: Mapping[str, JobState]
    events: tuple[Event, ...] = ()


#: The jobs that a run takes over from an earlier one, by key: none.
_NOTHING: Mapping[str, JobOutcome] = {}
_NO_CALLS: Mapping[str, str] = {}


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

    A run with `concurrency` joins the line of its group; InvalidInputError if that has no value.
    """
    _refuse_secrets(submission)
    while True:
        numbers = hot.next_numbers(store.notes, submission.project, submission.file)
        together = _Together(store, now)
        with suppress(ChangedMeanwhileError):
            run = together.enter(_new_run(submission, plan, numbers, now), reused)
            if together.is_written():
                return run


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


def reason(store: Store, run: int) -> str:
    """Why the run ended as it did, or is to end; empty when that needs no reason."""
    return hot.reason(store.notes, run)


def cancel_requests(store: Store, worker: str) -> list[tuple[int, str]]:
    """The runs and keys of jobs that this worker should stop: cancelled, or by `fail-fast`."""
    return hot.jobs_to_cancel(store.notes, worker)


def next_due(store: Store, run: int) -> float | None:
    """When the run's next job that waits for its time becomes runnable, in seconds since the epoch."""
    return hot.next_due(store.notes, run)


def waits(store: Store, run: int) -> list[Wait]:
    """For which groups the run and its jobs wait, and who holds them."""
    return lines.waits(store.notes, run)


def stay(store: Store, run: int, now: float) -> None:
    """Says that the run goes on waiting, for those who cannot see the process that it belongs to."""
    hot.stay(store.notes, run, now + LEASE_SECONDS)


def rescue(store: Store, now: float, runs: Collection[int] | None = None) -> list[Event]:
    """Ends the runs whose process is gone as failures; returns the events recorded for them.

    With `runs` it looks at these alone. A process in another container is gone when it has not
    renewed a lease for long.
    """
    events: list[Event] = []
    for run, owner, held_until in hot.owned_runs(store.notes):
        if runs is not None and run not in runs:
            continue
        is_silent = now > held_until + LEASE_SECONDS
        if not is_alive(owner) or (is_silent and not is_visible(owner)):
            events += _change(store, run, now, lambda change: change.lose())
    return events


def load_pipeline(file: str, text: str, called: Mapping[str, str] = _NO_CALLS) -> Pipeline:
    """The pipeline in `text`, known to users as `file`, with those that it calls.

    They have to have passed `parse` once, as all that is planned has: they are not checked again,
    which takes longer than all else that is done with them here.
    """
    pipeline = _built(file, text)
    if not called:
        return pipeline
    return replace(pipeline, called={name: _built(name, text) for name, text in called.items()})


@lru_cache(maxsize=64)
def _built(file: str, text: str) -> Pipeline:
    return build(load(text, file))


class _Together:
    """The runs that change at once: one, those that it sends away, and those that it frees."""

    def __init__(self, store: Store, now: float) -> None:
        self.lines = Lines(partial(lines.read, store.notes))
        self._store = store
        self._now = now
        self._changes: dict[int, _Change] = {}
        self._befores: dict[int, StoredRun | None] = {}
        #: Those about which more may follow now; the values mean nothing.
        self._open: dict[int, None] = {}

    def enter(self, run: StoredRun, reused: Mapping[str, JobOutcome]) -> int:
        """A new run, and what follows; returns its number."""
        change = self._changes[run.id] = _Change(run, self._now, self, reused)
        self._befores[run.id] = None
        self.lines.know(run.id, run.submission.project, {})
        change.join()
        self.settle(run.id)
        return run.id

    def of(self, run: int) -> "_Change":
        """The run on its way; read when it is asked for first."""
        if run not in self._changes:
            before = self._befores[run] = hot.load_run(self._store.notes, run)
            self.lines.know(run, before.submission.project, before.groups)
            self._changes[run] = _Change(before, self._now, self)
        return self._changes[run]

    def settle(self, run: int) -> None:
        """Does what follows in the run, and in all others that are concerned."""
        self._open[run] = None
        while self._open:
            each, _ = self._open.popitem()
            self.of(each).settle()

    def send_away(self, run: int, job: str, reason: str) -> None:
        self.of(run).send_away(job, reason)
        self._open[run] = None

    def free(self, run: int, job: str = "") -> None:
        """It has ended: who comes next in its line, if it stood in one, may go on."""
        following = self.lines.leave(run, job)
        if following is not None:
            self._open[following] = None

    def is_written(self) -> bool:
        """Whether nothing had to be written or it could be; False when others were faster."""
        runs = [
            RunEdit(self._befores[id_], change.run, change.events)
            for id_, change in self._changes.items()
        ]
        groups = list(self.lines.edits())
        is_same = all(edit.before == edit.after for edit in runs)
        if is_same and all(edit.before == edit.after for edit in groups):
            return True
        return hot.save(self._store.promises, runs, groups)


class _Change:
    """A run on its way to its next state, and the events that tell how it got there."""

    def __init__(
        self,
        run: StoredRun,
        now: float,
        together: _Together,
        reused: Mapping[str, JobOutcome] = _NOTHING,
    ) -> None:
        self.run = run
        self.events: list[Event] = []
        self._now = now
        self._together = together
        self._reused = reused

    def join(self) -> None:
        """A new run joins the line of its group, if it names one. Raises InvalidInputError."""
        submission = self.run.submission
        concurrency = self._pipeline().concurrency
        if concurrency:
            try:
                self._join("", concurrency, submission.contexts)
            except InvalidInputError as error:
                raise _located(error, submission) from error

    def settle(self) -> None:
        """Does what follows until nothing does: a job that is skipped may free another."""
        lines = self._together.lines
        if lines.has(self.run.id) and not lines.holds(self.run.id):
            self._wait()
            return
        submission = self.run.submission
        pipeline = self._pipeline()
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
        # The end of a call is told by those of its jobs, unless it failed by itself.
        failed_itself = outcome.result == "failure" and outcome.reason not in ("", LOST)
        is_told = failed_itself or not _was_entered(self.run.jobs[key])
        self._put(job)
        self._together.free(self.run.id, key)
        if is_told:
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

    def send_away(self, job: str, reason: str) -> None:
        """A newcomer in the line of its group wants the run, or that job of it, to stop."""
        if job:
            self._stop(replace(self.run.jobs[job], reason=reason), reason)
        elif not self.run.cancel_requested:
            self.run = replace(self.run, cancel_requested=True, reason=reason)

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
            self._stop(self.run.jobs[key], self.run.reason or reason)
        for key, ended in decision.finish.items():
            self.end(key, JobOutcome(ended.result, ended.outputs, ended.reason))
        self._take_over()
        for key in decision.start:
            if self.run.jobs[key].state == "blocked" and self._has_its_group(key):
                self._queue(self.run.jobs[key], 0.0)
        if decision.result is not None:
            if self.run.state == "queued" and not self.run.cancel_requested:
                self._begin()
            self._finish(decision.result, "" if decision.result == "success" else self.run.reason)

    def _wait(self) -> None:
        """Nothing starts before the run holds its group; one that is cancelled has nothing to end."""
        if self.run.cancel_requested:
            for job in self.run.jobs.values():
                if job.state != "finished":
                    reason = self.run.reason or "the run was cancelled"
                    self.end(job.key, JobOutcome("cancelled", reason=reason))
            self._finish("cancelled", self.run.reason)

    def _has_its_group(self, key: str) -> bool:
        """Whether the job may start as far as `concurrency` goes; if not yet, it stands in line."""
        lines = self._together.lines
        concurrency = self._job(key).concurrency
        if concurrency is None:
            return True
        if not lines.has(self.run.id, key):
            try:
                self._join(key, concurrency, self._contexts(key))
            except InvalidInputError as error:
                self.end(key, JobOutcome("failure", reason=f"concurrency: {explained(error)}"))
                return False
        return lines.holds(self.run.id, key)

    def _join(self, key: str, concurrency: Concurrency, contexts: Contexts) -> None:
        claim = evaluated(concurrency, contexts)
        lines, project = self._together.lines, self.run.submission.project
        job = f" (job `{key}`)" if key else ""
        reason = f"run {self.run.id}{job} came for group `{claim.name}`"
        for place in lines.join(self.run.id, key, project, claim):
            self._together.send_away(place.run, place.job, reason)

    def _job(self, key: str) -> Job:
        """The job as written, in the pipeline that its callers call."""
        pipeline = self._pipeline()
        for caller in callers_of(key):
            pipeline = called_by(pipeline, self.run.jobs[caller].job)
        return pipeline.jobs[self.run.jobs[key].job]

    def _contexts(self, key: str) -> Contexts:
        planned = {planned.key: planned for planned in self.run.plan.jobs}
        pipeline, contexts = self._pipeline(), self.run.submission.contexts
        for caller in callers_of(key):
            pipeline, contexts = inside(pipeline, contexts, planned[caller])
        return job_contexts(planned[key], _states(self.run), contexts)

    def _pipeline(self) -> Pipeline:
        submission = self.run.submission
        return load_pipeline(submission.file, submission.text, submission.called)

    def _expand(self, decision: Decision) -> None:
        changed = decision.expand.keys() | decision.enter.keys()
        if not changed:
            return
        planned = {job.key: job for job in self.run.plan.jobs}
        jobs: dict[str, StoredJob] = {}
        for job in self.run.jobs.values():
            if job.key not in changed:
                jobs[job.key] = job
                continue
            for leg in unfolded(planned[job.key], decision):
                jobs[leg.key] = blocked(leg, job.position, self.run.submission)
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
        elif job.state != "finished":
            self.end(job.key, JobOutcome("cancelled", reason=reason))

    def _begin(self) -> None:
        """No job is left for a worker to begin the run with: it begins as it ends."""
        run = self.run = replace(self.run, state="running", started_at=self._now)
        calls = {caller for key in run.jobs for caller in callers_of(key)}
        started = RunStarted(
            run=run.id,
            time=self._now,
            name=run.submission.name,
            file=run.submission.file,
            jobs=len(run.jobs.keys() - calls),
        )
        self.events.insert(0, started)

    def _finish(self, result: Result, reason: str) -> None:
        self.run = replace(
            self.run, state="finished", result=result, reason=reason, finished_at=self._now
        )
        self._together.free(self.run.id)
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
        together = _Together(store, now)
        with suppress(ChangedMeanwhileError):
            change = together.of(run)
            act(change)
            together.settle(run)
            if together.is_written():
                return change.events


def _end_attempt(change: _Change, lease: Lease, outcome: JobOutcome) -> None:
    job = change.run.jobs.get(lease.key)
    if job is None or job.state != "running" or job.token != lease.token:
        raise LeaseLostError(
            f"attempt {lease.attempt} of `{lease.key}` in run {lease.run} is not ours any more"
        )
    stopping = change.run.cancel_requested or job.cancel_requested
    if outcome.result == "cancelled" and not outcome.reason:
        outcome = replace(outcome, reason=job.reason)
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
    planned = {planned.key: planned for planned in run.plan.jobs}
    return Lease(
        run=run.id,
        key=key,
        job=job.job,
        attempt=job.attempt,
        token=job.token,
        deadline=deadline,
        submission=run.submission,
        planned=planned[key],
        callers=tuple(planned[caller] for caller in callers_of(key)),
        states=_states(run),
        events=events,
    )


def _was_entered(job: StoredJob) -> bool:
    """Whether the job is a call that goes on: it runs, and no worker has it."""
    return job.state == "running" and not job.worker


def _located(error: InvalidInputError, submission: Submission) -> InvalidInputError:
    """What is wrong with the run's own `concurrency`, with where it is written."""
    position = load(submission.text, submission.file).locate(("concurrency",), key=True)
    problem = Problem("concurrency", error.message, position, error.hint)
    return InvalidInputError(error.message, hint=error.hint, position=position, problems=(problem,))


def _states(run: StoredRun) -> dict[str, JobState]:
    return {key: job_state(job) for key, job in run.jobs.items()}


def _refuse_secrets(submission: Submission) -> None:
    unknown = submission.contexts.keys() - _KEPT_CONTEXTS
    if unknown:
        raise PipeError(f"these contexts must not be stored: {', '.join(sorted(unknown))}")
    if submission.contexts.get("github", {}).get("token"):
        raise PipeError("`github.token` is a secret and must not be stored")
