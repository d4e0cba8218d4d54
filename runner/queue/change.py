"""A run on its way to its next state, and what follows from each step of it."""

from dataclasses import replace

from runner.concurrency import Claim
from runner.errors import InvalidInputError
from runner.events import Result
from runner.plan import (
    Decision,
    asker_of,
    expanded,
    explained,
    ready,
    unfolded,
)
from runner.queue.definitions import is_call, pipeline_of
from runner.queue.draft import Draft, Others
from runner.queue.entrance import let_in, may_enter
from runner.queue.gates import hold_of
from runner.queue.groups import claim_at, claim_of_run, places_of
from runner.queue.outcome import TIMEOUT, JobOutcome, reused_by
from runner.queue.pools import pool
from runner.store.rows import (
    JobStatus,
    Place,
    StoredJob,
    StoredRun,
    blocked,
    states_of,
)


class Change(Draft):
    """A run on its way to its next state: whatever was done to it, `settle` does what follows."""

    def __init__(self, run: StoredRun, now: float, others: Others) -> None:
        super().__init__(run, now, others)
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
        if self.others.lines.has(self.run.id):
            holds = self.others.lines.holds(self.run.id)
            self._set_calls("running" if holds else "blocked")
            if not holds:
                self._wait()
                return
        self._look_at_gates()
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

    def _is_early(self) -> bool:
        return self.run.due_at is not None and self.run.due_at > self.now

    def _has_entered(self) -> bool:
        """Whether somebody else was faster."""
        return self.run.state == "finished" or self.others.lines.has(self.run.id)

    def _apply(self, decision: Decision) -> None:
        self._expand(decision)
        for key in decision.skip:
            self.end(key, JobOutcome("skipped"))
        for key, message in decision.fail.items():
            self.end(key, JobOutcome("failure", reason=message))
        for key, reason in decision.cancel.items():
            self.stop(self.run.jobs[key], self.run.reason or reason)
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
                self.begin()
            self._end_with(decision.result)

    def _end_with(self, result: Result) -> None:
        # Nobody wanted it to stop: its time was over.
        is_over = result == "cancelled" and self.run.reason == TIMEOUT
        reason = "" if result == "success" else self.run.reason
        self.finish("failure" if is_over else result, reason)

    def _wait(self) -> None:
        """Nothing starts before it is due and holds its group; so if it is cancelled, nothing ends."""
        if self.run.cancel_requested:
            for job in self.run.jobs.values():
                if job.state != "finished":
                    reason = self.run.reason or "the run was cancelled"
                    self.end(job.key, JobOutcome("cancelled", reason=reason))
            self.finish("cancelled", self.run.reason)

    def _set_calls(self, state: JobStatus) -> None:
        """Calls that were planned with their jobs from the start go on when the run does."""
        for planned in self.run.plan.jobs:
            job = self.run.jobs[planned.key]
            if planned.inputs is not None and job.state not in ("finished", state):
                self.put(replace(job, state=state))

    def _begin_job(self, key: str) -> None:
        earlier = self.others.past.outcome(self.run, key)
        if earlier:
            self.end(key, earlier)
        elif may_enter(self, key) and self._has_its_groups(key):
            self._start(key)

    def _start(self, key: str) -> None:
        if is_call(self.run, key):
            self._admitted |= {key}
        else:
            let_in(self, key)
            remark = self.others.past.remark(self.run, key)
            self.queue(self.run.jobs[key], 0.0, remark, pool=pool(self.run, key))

    def _look_at_gates(self) -> None:
        """Those that wait there may enter by now; nobody waits for a run that is to stop."""
        for job in list(self.run.jobs.values()):
            if hold_of(job) is None:
                continue
            if self.run.cancel_requested:
                reason = self.run.reason or "the run was cancelled"
                self.end(job.key, JobOutcome("cancelled", reason=reason))
            else:
                self._begin_job(job.key)

    def _has_its_groups(self, key: str) -> bool:
        """Whether the job may start as far as `concurrency` goes; if not yet, it stands in line."""
        try:
            return all(self._has_its_turn(place) for place in places_of(self.run, key))
        except InvalidInputError as error:
            self.end(key, JobOutcome("failure", reason=explained(error)))
            return False

    def _has_its_turn(self, place: str) -> bool:
        lines = self.others.lines
        if not lines.has(self.run.id, place):
            self._join(place, claim_at(self.run, place))
        return lines.holds(self.run.id, place)

    def _join(self, place: str, claim: Claim) -> None:
        newcomer = Place(self.run.id, place, claim.name, capacity=claim.limit)
        reason = f"{newcomer} came for group `{claim.name}`"
        for sent in self.others.lines.join(newcomer, self.run.submission.project, claim):
            self.others.send_away(sent.run, asker_of(sent.job), reason)

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
                new = blocked(leg, job.position, self.run.submission, self.now)
                jobs[leg.key] = replace(new, rank=job.rank)
        jobs = {key: replace(job, position=at) for at, (key, job) in enumerate(jobs.items())}
        self.run = replace(self.run, plan=expanded(self.run.plan, decision), jobs=jobs)

    def _take_over(self) -> None:
        """What is reused has ended; but a placeholder with that key may yet be skipped."""
        reused = reused_by(self.run.submission)
        if not reused:
            return
        runnable = {job.key for job in self.run.plan.jobs if job.expanded}
        for key, outcome in reused.items():
            if key in runnable and self.run.jobs[key].state == "blocked":
                self.end(key, outcome)
