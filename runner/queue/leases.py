"""The right to run one attempt of a job: taken, held, and given back with how it ended."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from runner.errors import PipeError
from runner.events import Event
from runner.plan import JobState, PlannedJob, callers_of
from runner.queue.change import Change
from runner.queue.happenings import give_back as give_back_attempt
from runner.queue.outcome import JobOutcome
from runner.queue.together import UnreadableRunError, abandon, change, reading
from runner.store import Store, claims, leases, raw
from runner.store.claims import Claimed, Lessee
from runner.store.connection import Database
from runner.store.rows import StoredRun, Submission, states_of

#: Seconds for which who works until nothing is left waits for a run that is not due yet.
SOON = 60.0
#: How long a lease holds without being renewed.
LEASE_SECONDS = 30.0


class LeaseLostError(PipeError):
    """The job does not belong to this lease any more, so its result is refused."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one attempt of a job until `deadline` (seconds since the epoch).

    `states` is how far all jobs of the run were; `events` is what leasing it recorded.
    """

    run: int
    key: str
    job: str
    attempt: int
    #: How many of the attempts before it ended because their worker was gone.
    losses: int
    #: How many were given back.
    returns: int
    token: str
    deadline: float
    submission: Submission
    planned: PlannedJob
    #: The calls that the job is in, the outermost first.
    callers: tuple[PlannedJob, ...]
    states: Mapping[str, JobState]
    events: tuple[Event, ...] = ()
    #: The run as it was then; most have not changed when the attempt ends.
    stored: StoredRun | None = None

    @property
    def tries(self) -> int:
        """The attempts so far, with this one, without those that the job had no part in."""
        return self.attempt - self.losses - self.returns


def lease(
    store: Store,
    worker: str,
    *,
    run: int | None = None,
    labels: Collection[str] = (),
    only: str = "",
    limit: int = 1,
    now: float,
) -> list[Lease]:
    """Up to `limit` runnable jobs: of that run, or else of all that were submitted to the queue.

    Of these, a job that needs labels goes to a worker that has all of them; with `only`, none but
    those that need this label.
    """
    lessee = Lessee(worker, now + LEASE_SECONDS, labels, only)
    if run is None:
        claimed = claims.of_queue(store.notes, lessee, limit, now)
    else:
        claimed = claims.of_run(store.notes, lessee, run, limit, now)
    if claimed.has_moved:
        store.wake()
    return list(_leases(store, claimed, lessee.until, now))


def is_open(store: Store, labels: Collection[str], now: float, only: str = "") -> bool:
    """Whether there may be something to do for a worker with these labels without a new run.

    Runs that are due within `SOON` seconds count.
    """
    return claims.is_open(store.notes, Lessee("", 0.0, labels, only), now + SOON)


def give_back(store: Store, lease: Lease, now: float) -> list[Event]:
    """The machine lacks what the job needs: another attempt follows, which counts as no failure."""
    return change(store, lease.run, now, lambda it: give_back_attempt(it, lease.key, lease.token))


def renew(store: Store, lease: Lease, now: float) -> bool:
    """Holds the lease for another `LEASE_SECONDS`; False when it is lost."""
    return leases.renew(store.notes, lease.run, lease.key, lease.token, now + LEASE_SECONDS)


def stay(store: Store, run: int, now: float) -> None:
    """Says that the run goes on waiting, for those who cannot see the process that it belongs to."""
    leases.stay(store.notes, run, now + LEASE_SECONDS)


def finish(
    store: Store, lease: Lease, outcome: JobOutcome, now: float, earlier: Sequence[Event] = ()
) -> list[Event]:
    """Ends an attempt and all that is decided by it; returns the events recorded with it.

    What happened `earlier` in the attempt, and is not yet written, is recorded before them. Once
    this returns, the result survives a loss of power. Raises LeaseLostError when the lease is not
    held any more.
    """
    return _finish(store, lease, outcome, now, earlier)


def finish_and_lease(
    store: Store,
    lease: Lease,
    outcome: JobOutcome,
    worker: str,
    *,
    labels: Collection[str] = (),
    only: str = "",
    now: float,
    earlier: Sequence[Event] = (),
) -> tuple[list[Event], Lease | None]:
    """As `finish`, and leases the job of the queue that comes next, if one is there: in one go."""
    lessee = Lessee(worker, now + LEASE_SECONDS, labels, only)
    claimed = [claims.NOTHING]

    def take(database: Database) -> None:
        claimed[0] = claims.take(database, lessee, 1, now)

    events = _finish(store, lease, outcome, now, earlier, take)
    if claimed[0].has_moved:
        store.wake()
    return events, next(_leases(store, claimed[0], lessee.until, now), None)


def _finish(
    store: Store,
    lease: Lease,
    outcome: JobOutcome,
    now: float,
    earlier: Sequence[Event],
    then: Callable[[Database], None] | None = None,
) -> list[Event]:
    return change(
        store,
        lease.run,
        now,
        lambda it: _end_attempt(it, lease, outcome),
        known=lease.stored,
        then=then,
        earlier=earlier,
    )


def _leases(store: Store, claimed: Claimed, deadline: float, now: float) -> Iterator[Lease]:
    made = cache(lambda run: raw.made(claimed.runs[run]))
    events = {
        id_: tuple(event for event in claimed.events if event.run == id_) for id_, _ in claimed.jobs
    }
    for id_, key in claimed.jobs:
        try:
            with reading(id_):
                found = _lease(made(id_), key, deadline, events.pop(id_, ()))
        except UnreadableRunError as error:
            abandon(store, id_, error.message, now)
        else:
            yield found


def _lease(run: StoredRun, key: str, deadline: float, events: tuple[Event, ...]) -> Lease:
    job = run.jobs[key]
    planned = {planned.key: planned for planned in run.plan.jobs}
    return Lease(
        run=run.id,
        key=key,
        job=job.job,
        attempt=job.attempt,
        losses=job.losses,
        returns=job.returns,
        token=job.token,
        deadline=deadline,
        submission=run.submission,
        planned=planned[key],
        callers=tuple(planned[caller] for caller in callers_of(key)),
        states=states_of(run),
        events=events,
        stored=run,
    )


def _end_attempt(change: Change, lease: Lease, outcome: JobOutcome) -> None:
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
        if outcome.result == "success" and not outcome.failed_softly:
            change.remember(lease.key)
    else:
        change.retry(lease.key, outcome, outcome.retry_after)
