"""What workers ask about their runs."""

from runner.store import Store, approvals, hot, leases, lines
from runner.store.approvals import HeldJob
from runner.store.lines import Wait


def cancelled(store: Store, run: int) -> bool:
    """Whether somebody asked the run to stop."""
    return hot.is_cancelled(store.notes, run)


def is_over(store: Store, run: int) -> bool:
    """Whether the run has its result."""
    return hot.load_run(store.notes, run).state == "finished"


def reason(store: Store, run: int) -> str:
    """Why the run ended as it did, or is to end; empty when that needs no reason."""
    return hot.reason(store.notes, run)


def cancel_requests(store: Store, worker: str) -> list[tuple[int, str]]:
    """The runs and keys of jobs that this worker should stop: cancelled, or by `fail-fast`."""
    return leases.jobs_to_cancel(store.notes, worker)


def next_due(store: Store, run: int) -> float | None:
    """When the run's next job that waits for its time becomes runnable, in seconds since the epoch."""
    return leases.next_due(store.notes, run)


def held(store: Store, run: int) -> list[HeldJob]:
    """The jobs of the run that wait for a limit, or in front of their environments."""
    return approvals.held_jobs(store.notes, run)


def waits(store: Store, run: int) -> list[Wait]:
    """For which groups the run and its jobs wait, and who holds them."""
    return lines.waits(store.notes, run)
