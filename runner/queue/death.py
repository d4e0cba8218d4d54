"""Why a run that was submitted failed for good, in short."""

from runner.queue.outcome import EXPIRED, POISON, TIMEOUT, UNPARSEABLE
from runner.store.rows import DeadLetter, StoredJob, StoredRun


def is_dead(run: StoredRun) -> bool:
    """Whether a run that has ended failed for good.

    One that nobody cancelled ends as cancelled because the time of a job was over.
    """
    is_unwanted = run.result == "cancelled" and not run.cancel_requested
    return run.result == "failure" or (is_unwanted and bool(_failed(run)))


def dead_letter(run: StoredRun) -> DeadLetter:
    """The letter for a run that has just failed for good."""
    failed = _failed(run)
    if not failed:
        return DeadLetter(_kind(run.reason), "", run.reason or "failed")
    first = min(failed, key=lambda job: job.finished_order)
    return DeadLetter(_kind(run.reason or first.reason), first.key, _error(run, first))


def _failed(run: StoredRun) -> list[StoredJob]:
    return [
        job
        for job in run.jobs.values()
        if job.result == "failure" or (job.result == "cancelled" and job.reason == TIMEOUT)
        if not job.failed_softly
    ]


def _kind(reason: str) -> str:
    return reason if reason in (EXPIRED, POISON, TIMEOUT, UNPARSEABLE) else "failed"


def _error(run: StoredRun, job: StoredJob) -> str:
    reason = job.reason or run.reason
    return f"{job.name}: {reason}" if reason else f"{job.name} failed"
