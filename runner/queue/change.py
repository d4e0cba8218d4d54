"""A run on its way to its next state, and what follows from each step of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from runner.concurrency import Claim, Lines
from runner.errors import InvalidInputError
from runner.events import Event, Result
from runner.plan import (
    Decision,
    asker_of,
    called_in,
    expanded,
    explained,
    ready,
    unfolded,
)
from runner.queue.death import dead_letter
from runner.queue.definitions import is_call, pipeline_of
from runner.queue.groups import claim_at, claim_of_run, places_of
from runner.queue.outcome import (
    EXPIRED,
    LOST,
    NOTHING_REUSED,
    POISON,
    RETURNED,
    TIMEOUT,
    JobOutcome,
)
from runner.queue.past import Past
from runner.queue.pools import pool
from runner.queue.telling import job_finished, job_queued, run_finished, run_started
from runner.store.rows import (
    DeadLetter,
    JobStatus,
    Place,
    StoredJob,
    StoredRun,
    Success,
    blocked,
    is_submitted,
    states_of,
)

#: What was given back, is not taken at once again by who gave it.
RETURN_SECONDS = 2.0
#: A job that has lost this many workers is not given another one: it may be what ends them.
MOST_LOSSES = 3


class Others(Protocol):
    """The runs that change with this one, as far as it has to do with them."""

    @property
    def lines(self) -> Lines:
        """The lines of groups as they are in this decision."""

    @property
    def past(self) -> Past:
        """What earlier runs have done already."""

    def send_away(self, run: int, job: str, reason: str) -> None:
        """A newcomer in the line of its group wants that run, or that job of it, to stop."""

    def free(self, run: int, job: str = "") -> None:
        """It has ended: who comes next in its line, if it stood in one, may go on."""


class Change:
    """A run on its way to its next state, and the events that tell how it got there."""

    def __init__(
        self,
        run: StoredRun,
        now: float,
        others: Others,
        reused: Mapping[str, JobOutcome] = NOTHING_REUSED,
    ) -> None:
        self.run = run
        self.events: list[Event] = []
        #: Why it failed for good, if it did so now.
        self.dead: DeadLetter | None = None
        #: What later runs may reuse of it.
        self.successes: tuple[Success, ...] = ()
        self._now = now
        self._others = others
        self._reused = reused
        #: The calls that have got their groups, and are entered next.
        self._admitted: frozenset[str] = frozenset()

    def enter(self) -> None:
        """It enters the queue when it is due; then it joins the line of its group, if it names one.

        Raises InvalidInputError, also when it is too early.
        """
        claim = claim_of_run(self.run)
        if self.run.state == "finished" or self._is_early() or self._has_entered():
            return
        if self.run.due_at is not None:
            self.run = replace(self.run, due_at=None)
        if claim:
            self._join("", claim)

    def settle(self) -> None:
        """Does what follows until nothing does: a job that is skipped may free another."""
        if self.run.finished_at is not None:
            return
        if self.run.due_at is not None:
            self._wait()
            return
        if self._others.lines.has(self.run.id):
            holds = self._others.lines.holds(self.run.id)
            self._set_calls("running" if holds else "blocked")
            if not holds:
                self._wait()
                return
        pipeline = pipeline_of(self.run)
        goes_on = self.run.state != "finished"
        while goes_on:
            run, admitted = self.run, self._admitted
            states, contexts = states_of(run), run.submission.contexts
            self._apply(ready(pipeline, run.plan, states, contexts, run.cancel_requested, admitted))
            goes_on = self.run.state != "finished" and self._leads_to_more(run, admitted)

    def _leads_to_more(self, before: StoredRun, admitted: frozenset[str]) -> bool:
        """Whether something may follow from what was done since; jobs that start free no other."""
        if self._admitted != admitted or self.run.plan is not before.plan:
            return True
        jobs = self.run.jobs.items()
        return any(
            job.state == "finished" and before.jobs[key].state != "finished" for key, job in jobs
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
            held="",
            finished_at=self._now,
            finished_order=order,
        )
        # The end of a call is told by those of its jobs, unless it failed by itself.
        failed_itself = outcome.result == "failure" and outcome.reason not in ("", LOST)
        is_told = failed_itself or not self._was_entered(key)
        self._put(job)
        for place in (key, called_in(key)):
            self._others.free(self.run.id, place)
        if is_told:
            self._tell_end(job, outcome, final=True)

    def remember(self, key: str) -> None:
        """The job has run and succeeded: later runs may reuse that."""
        self.successes += tuple(self._others.past.success(self.run, key))

    def retry(self, key: str, outcome: JobOutcome, delay: float) -> None:
        """The attempt is finished, and another follows in `delay` seconds."""
        job = self.run.jobs[key]
        self._tell_end(job, outcome, final=False)
        self._queue(replace(job, attempt=job.attempt + 1), delay)

    def lose_attempt(self, key: str, token: str) -> None:
        """The worker that had the job is gone: another one gets it, unless it has lost too many."""
        job = self.run.jobs.get(key)
        if job is None or job.state != "running" or job.token != token:
            return
        job = replace(job, losses=job.losses + 1)
        if self.run.cancel_requested or job.cancel_requested:
            self.end(key, JobOutcome("cancelled", reason=LOST))
        elif job.losses >= MOST_LOSSES:
            self._put(job)
            self.end(key, JobOutcome("failure", reason=POISON))
        else:
            self._tell_end(job, JobOutcome("failure", reason=LOST), final=False)
            self._queue(replace(job, attempt=job.attempt + 1), 0.0)

    def give_back(self, key: str, token: str) -> None:
        """Whoever had the job could not run it, for want of something on its machine."""
        job = self.run.jobs.get(key)
        if job is None or job.state != "running" or job.token != token:
            return
        self._tell_end(job, JobOutcome("failure", reason=RETURNED), final=False)
        again = replace(job, attempt=job.attempt + 1, returns=job.returns + 1)
        self._queue(again, RETURN_SECONDS)

    def expire(self) -> None:
        """It waited too long for its start."""
        expires_at = self.run.expires_at
        if self.run.state == "queued" and expires_at is not None and expires_at <= self._now:
            self._give_up(EXPIRED)

    def overrun(self) -> None:
        """It has run for too long: what still runs is told to stop."""
        deadline = self.run.deadline
        if self.run.state == "running" and deadline is not None and deadline <= self._now:
            self.send_away("", TIMEOUT)

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
        if self.run.state != "finished":
            self._give_up(LOST)

    def _give_up(self, reason: str) -> None:
        for job in self.run.jobs.values():
            if job.state != "finished":
                result: Result = "skipped" if job.state == "blocked" else "failure"
                self.end(job.key, JobOutcome(result, reason=reason))
        self._finish("failure", reason)

    def _is_early(self) -> bool:
        return self.run.due_at is not None and self.run.due_at > self._now

    def _has_entered(self) -> bool:
        """Whether somebody else was faster."""
        return self.run.state == "finished" or self._others.lines.has(self.run.id)

    def _apply(self, decision: Decision) -> None:
        self._expand(decision)
        for key in decision.skip:
            self.end(key, JobOutcome("skipped"))
        for key, message in decision.fail.items():
            self.end(key, JobOutcome("failure", reason=message))
        for key, reason in decision.cancel.items():
            self._stop(self.run.jobs[key], self.run.reason or reason)
        for key, ended in decision.finish.items():
            was_sent_away = ended.result == "cancelled" and self.run.jobs[key].cancel_requested
            reason = self.run.jobs[key].reason if was_sent_away else ended.reason
            self.end(key, JobOutcome(ended.result, ended.outputs, reason))
        self._take_over()
        for key in decision.start:
            if self.run.jobs[key].state == "blocked":
                self._begin_job(key)
        if decision.result is not None:
            if self.run.state == "queued" and not self.run.cancel_requested:
                self._begin()
            self._end_with(decision.result)

    def _end_with(self, result: Result) -> None:
        # Nobody wanted it to stop: its time was over.
        is_over = result == "cancelled" and self.run.reason == TIMEOUT
        reason = "" if result == "success" else self.run.reason
        self._finish("failure" if is_over else result, reason)

    def _wait(self) -> None:
        """Nothing starts before it is due and holds its group; so if it is cancelled, nothing ends."""
        if self.run.cancel_requested:
            for job in self.run.jobs.values():
                if job.state != "finished":
                    reason = self.run.reason or "the run was cancelled"
                    self.end(job.key, JobOutcome("cancelled", reason=reason))
            self._finish("cancelled", self.run.reason)

    def _set_calls(self, state: JobStatus) -> None:
        """Calls that were planned with their jobs from the start go on when the run does."""
        for planned in self.run.plan.jobs:
            job = self.run.jobs[planned.key]
            if planned.inputs is not None and job.state not in ("finished", state):
                self._put(replace(job, state=state))

    def _begin_job(self, key: str) -> None:
        earlier = self._others.past.outcome(self.run, key)
        if earlier:
            self.end(key, earlier)
        elif self._has_its_groups(key):
            self._start(key)

    def _start(self, key: str) -> None:
        if is_call(self.run, key):
            self._admitted |= {key}
        else:
            remark = self._others.past.remark(self.run, key)
            self._queue(self.run.jobs[key], 0.0, remark, pool=pool(self.run, key))

    def _has_its_groups(self, key: str) -> bool:
        """Whether the job may start as far as `concurrency` goes; if not yet, it stands in line."""
        try:
            return all(self._has_its_turn(place) for place in places_of(self.run, key))
        except InvalidInputError as error:
            self.end(key, JobOutcome("failure", reason=explained(error)))
            return False

    def _has_its_turn(self, place: str) -> bool:
        lines = self._others.lines
        if not lines.has(self.run.id, place):
            self._join(place, claim_at(self.run, place))
        return lines.holds(self.run.id, place)

    def _join(self, place: str, claim: Claim) -> None:
        newcomer = Place(self.run.id, place, claim.name, capacity=claim.limit)
        reason = f"{newcomer} came for group `{claim.name}`"
        for sent in self._others.lines.join(newcomer, self.run.submission.project, claim):
            self._others.send_away(sent.run, asker_of(sent.job), reason)

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
                new = blocked(leg, job.position, self.run.submission, self._now)
                jobs[leg.key] = replace(new, rank=job.rank)
        jobs = {key: replace(job, position=at) for at, (key, job) in enumerate(jobs.items())}
        self.run = replace(self.run, plan=expanded(self.run.plan, decision), jobs=jobs)

    def _take_over(self) -> None:
        """What is reused has ended; but a placeholder with that key may yet be skipped."""
        runnable = {job.key for job in self.run.plan.jobs if job.expanded}
        for key, outcome in self._reused.items():
            if key in runnable and self.run.jobs[key].state == "blocked":
                self.end(key, outcome)

    def _queue(
        self, job: StoredJob, delay: float, remark: str = "", *, pool: str | None = None
    ) -> None:
        self._put(
            replace(
                job,
                pool=job.pool if pool is None else pool,
                state="scheduled" if delay > 0 else "queued",
                due_at=self._now + delay,
                queued_at=self._now,
            )
        )
        self.events.append(job_queued(self.run, self._now, job, delay, remark))

    def _stop(self, job: StoredJob, reason: str) -> None:
        """A running job is told through its row, and ends when its worker or the jobs in it did."""
        if job.state == "running":
            self._put(replace(job, cancel_requested=True))
        elif job.state != "finished":
            self.end(job.key, JobOutcome("cancelled", reason=reason))

    def _begin(self) -> None:
        """No job is left for a worker to begin the run with: it begins as it ends."""
        self.run = replace(self.run, state="running", started_at=self._now)
        self.events.insert(0, run_started(self.run, self._now))

    def _finish(self, result: Result, reason: str) -> None:
        self.run = replace(
            self.run,
            state="finished",
            result=result,
            reason=reason,
            due_at=None,
            finished_at=self._now,
        )
        self._others.free(self.run.id)
        self.events.append(run_finished(self.run, self._now))
        if result == "failure" and is_submitted(self.run):
            self.dead = dead_letter(self.run)

    def _was_entered(self, key: str) -> bool:
        """Whether the job is a call whose jobs are in the plan."""
        planned = self.run.plan.jobs
        return any(job.key == key and job.inputs is not None for job in planned)

    def _put(self, job: StoredJob) -> None:
        self.run = replace(self.run, jobs={**self.run.jobs, job.key: job})

    def _tell_end(self, job: StoredJob, outcome: JobOutcome, *, final: bool) -> None:
        self.events.append(job_finished(self.run, self._now, job, outcome, final=final))
