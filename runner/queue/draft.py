"""A run as it is being changed: its next state so far, and the events that tell how it gets there."""

from dataclasses import replace
from typing import Protocol

from runner.concurrency import Lines
from runner.events import Event, Note, Result
from runner.plan import called_in, locked_at
from runner.queue.boundary import Boundary
from runner.queue.death import dead_letter, is_dead
from runner.queue.gates import Hold
from runner.queue.outcome import LOST, JobOutcome
from runner.queue.past import Past
from runner.queue.telling import job_finished, job_queued, run_finished, run_started
from runner.store.rows import (
    Admission,
    Approval,
    DeadLetter,
    StoredJob,
    StoredRun,
    Success,
    is_submitted,
)


class Others(Protocol):
    """The runs that change with this one, as far as it has to do with them."""

    @property
    def lines(self) -> Lines:
        """The lines of groups as they are in this decision."""

    @property
    def past(self) -> Past:
        """What earlier runs have done already."""

    @property
    def boundary(self) -> Boundary:
        """What there is to know about environments."""

    def send_away(self, run: int, job: str, reason: str) -> None:
        """A newcomer in the line of its group wants that run, or that job of it, to stop."""

    def free(self, run: int, job: str = "") -> None:
        """It has ended: who comes next in its line, if it stood in one, may go on."""


class Draft:
    """What can be done to a run and its jobs; what follows from that is the matter of `Change`."""

    def __init__(self, run: StoredRun, now: float, others: Others) -> None:
        self.run = run
        self.events: list[Event] = []
        #: Why it failed for good, if it did so now.
        self.dead: DeadLetter | None = None
        #: What later runs may reuse of it.
        self.successes: tuple[Success, ...] = ()
        #: What was said about its jobs now, and which of them were let into their environments.
        self.approvals: tuple[Approval, ...] = ()
        self.admissions: tuple[Admission, ...] = ()
        self.now = now
        self.others = others

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
            held="",
            finished_at=self.now,
            finished_order=order,
        )
        # The end of a call is told by those of its jobs, unless it failed by itself.
        failed_itself = outcome.result == "failure" and outcome.reason not in ("", LOST)
        is_told = failed_itself or not self._was_entered(key)
        self.put(job)
        for place in (key, called_in(key), locked_at(key)):
            self.others.free(self.run.id, place)
        if is_told:
            self.tell_end(job, outcome, final=True)

    def remember(self, key: str) -> None:
        """The job has run and succeeded: later runs may reuse that."""
        self.successes += tuple(self.others.past.success(self.run, key))

    def retry(self, key: str, outcome: JobOutcome, delay: float) -> None:
        """The attempt is finished, and another follows in `delay` seconds."""
        job = self.run.jobs[key]
        self.tell_end(job, outcome, final=False)
        self.queue(replace(job, attempt=job.attempt + 1), delay)

    def queue(
        self, job: StoredJob, delay: float, remark: str = "", *, pool: str | None = None
    ) -> None:
        """An attempt of the job may begin in `delay` seconds; `remark` is told with that."""
        self.put(
            replace(
                job,
                pool=job.pool if pool is None else pool,
                state="scheduled" if delay > 0 else "queued",
                held="",
                due_at=self.now + delay,
                queued_at=self.now,
            )
        )
        self.events.append(job_queued(self.run, self.now, job, delay, remark))

    def hold(self, job: StoredJob, hold: Hold, due_at: float | None) -> None:
        """The job waits in front of its environment; it is looked at again at `due_at` at the latest,
        if that is what it waits for."""
        self.put(
            replace(
                job,
                state="blocked" if hold.until is None else "scheduled",
                held=str(hold),
                due_at=due_at if hold.until is None else hold.until,
            )
        )

    def tell(self, job: str, message: str) -> None:
        """Something about a job that people want to know."""
        self.events.append(Note(run=self.run.id, time=self.now, job=job, message=message))

    def stop(self, job: StoredJob, reason: str) -> None:
        """A running job is told through its row, and ends when its worker or the jobs in it did."""
        if job.state == "running":
            self.put(replace(job, cancel_requested=True))
        elif job.state != "finished":
            self.end(job.key, JobOutcome("cancelled", reason=reason))

    def begin(self) -> None:
        """No job is left for a worker to begin the run with: it begins as it ends."""
        self.run = replace(self.run, state="running", started_at=self.now)
        self.events.insert(0, run_started(self.run, self.now))

    def finish(self, result: Result, reason: str) -> None:
        """The run has ended."""
        self.run = replace(
            self.run,
            state="finished",
            result=result,
            reason=reason,
            due_at=None,
            finished_at=self.now,
        )
        self.others.free(self.run.id)
        self.events.append(run_finished(self.run, self.now))
        if is_submitted(self.run) and is_dead(self.run):
            self.dead = dead_letter(self.run)

    def put(self, job: StoredJob) -> None:
        """The job is like this from now on."""
        self.run = replace(self.run, jobs={**self.run.jobs, job.key: job})

    def tell_end(self, job: StoredJob, outcome: JobOutcome, *, final: bool) -> None:
        """An attempt ended like this; unless it is `final`, another one follows."""
        self.events.append(job_finished(self.run, self.now, job, outcome, final=final))

    def _was_entered(self, key: str) -> bool:
        """Whether the job is a call whose jobs are in the plan."""
        planned = self.run.plan.jobs
        return any(job.key == key and job.inputs is not None for job in planned)
