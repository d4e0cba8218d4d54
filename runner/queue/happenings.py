"""What can happen to a run from outside, beside that an attempt ends as its worker says."""

from dataclasses import replace

from runner.events import Result
from runner.queue.draft import Draft
from runner.queue.outcome import EXPIRED, LOST, POISON, RETURNED, TIMEOUT, JobOutcome

#: What was given back, is not taken at once again by who gave it.
RETURN_SECONDS = 2.0
#: A job that has lost this many workers is not given another one: it may be what ends them.
MOST_LOSSES = 3


def lose_attempt(draft: Draft, key: str, token: str) -> None:
    """The worker that had the job is gone: another one gets it, unless it has lost too many."""
    job = draft.run.jobs.get(key)
    if job is None or job.state != "running" or job.token != token:
        return
    job = replace(job, losses=job.losses + 1)
    if draft.run.cancel_requested or job.cancel_requested:
        draft.end(key, JobOutcome("cancelled", reason=LOST))
    elif job.losses >= MOST_LOSSES:
        draft.put(job)
        draft.end(key, JobOutcome("failure", reason=POISON))
    else:
        draft.tell_end(job, JobOutcome("failure", reason=LOST), final=False)
        draft.queue(replace(job, attempt=job.attempt + 1), 0.0)


def give_back(draft: Draft, key: str, token: str) -> None:
    """Whoever had the job could not run it, for want of something on its machine."""
    job = draft.run.jobs.get(key)
    if job is None or job.state != "running" or job.token != token:
        return
    draft.tell_end(job, JobOutcome("failure", reason=RETURNED), final=False)
    draft.queue(replace(job, attempt=job.attempt + 1, returns=job.returns + 1), RETURN_SECONDS)


def expire(draft: Draft) -> None:
    """It waited too long for its start."""
    expires_at = draft.run.expires_at
    if draft.run.state == "queued" and expires_at is not None and expires_at <= draft.now:
        _give_up(draft, EXPIRED)


def overrun(draft: Draft) -> None:
    """It has run for too long: what still runs is told to stop."""
    deadline = draft.run.deadline
    if draft.run.state == "running" and deadline is not None and deadline <= draft.now:
        send_away(draft, "", TIMEOUT)


def cancel(draft: Draft) -> None:
    """Somebody asked the run to stop."""
    if draft.run.state != "finished":
        draft.run = replace(draft.run, cancel_requested=True)


def send_away(draft: Draft, job: str, reason: str) -> None:
    """The run, or that job of it, has to stop, as a newcomer in the line of its group wants it."""
    if job:
        draft.stop(replace(draft.run.jobs[job], reason=reason), reason)
    elif not draft.run.cancel_requested:
        draft.run = replace(draft.run, cancel_requested=True, reason=reason)


def lose(draft: Draft) -> None:
    """The process that ran it is gone: what it had begun failed, the rest never came."""
    if draft.run.state != "finished":
        _give_up(draft, LOST)


def _give_up(draft: Draft, reason: str) -> None:
    for job in draft.run.jobs.values():
        if job.state != "finished":
            result: Result = "skipped" if job.state == "blocked" else "failure"
            draft.end(job.key, JobOutcome(result, reason=reason))
    draft.finish("failure", reason)
