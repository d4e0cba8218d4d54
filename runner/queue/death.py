"""Why a run that was submitted failed for good, in short."""

from runner.queue.outcome import EXPIRED, POISON, TIMEOUT, UNPARSEABLE
from runner.store.rows import DeadLetter, StoredJob, StoredRun


def dead_letter(run: StoredRun) -> DeadLetter:
    """The letter for a run that has just failed."""
    failed = [job for job in run.jobs.values() if job.result == "failure" and not job.failed_softly]
    if not failed:
        return DeadLetter(_kind(run.reason), "", run.reason or "failed")
    first = min(failed, key=lambda job: job.finished_order)
    return DeadLetter(_kind(run.reason or first.reason), first.key, _error(run, first))


def _kind(reason: str) -> str:
    return reason if reason in (EXPIRED, POISON, TIMEOUT, UNPARSEABLE) else "failed"


def _error(run: StoredRun, job: StoredJob) -> str:
    reason = job.reason or run.reason
    return f"{job.name}: {reason}" if reason else f"{job.name} failed"
