"""Submitted runs in a line each: made, leased, ended; times are numbers that a test chooses."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from runner import queue
from runner.events import Event
from runner.plan import plan
from runner.queue import Entry, JobOutcome, Lease, Submission
from runner.store import Store, hot, limits, reads, workers
from runner.store.limits import Scope
from runner.store.workers import WorkerRecord
from tests.test_queue import CONTEXTS, ONE, SUCCESS

#: Noon of a day, so that no test comes near midnight by accident.
NOON = 1_700_049_600.0
DAY = 86_400.0


def entry(
    text: str = ONE, *, due_at: float | None = None, patience: float | None = None, **changes: Any
) -> Entry:
    """A run of this pipeline; `changes` are those of the submission."""
    values = {"file": "ci.yaml", "project": "/p", "name": "CI", "contexts": CONTEXTS, "owner": "al"}
    submission = Submission(**{**values, "text": text, **changes})
    first = plan(queue.load_pipeline(submission.file, text), submission.contexts)
    return Entry(submission, first, due_at=due_at, patience=patience)


def submit(store: Store, text: str = ONE, *, now: float = NOON, **changes: Any) -> int:
    """Queues one run, as `entry` describes it."""
    [run] = queue.enqueue_all(store, [entry(text, **changes)], now)
    return run


def take(
    store: Store,
    limit: int = 99,
    *,
    now: float = NOON,
    worker: str = "w",
    labels: Collection[str] = (),
    only: str = "",
) -> list[Lease]:
    """Leases what may be had."""
    return queue.lease(store, worker, labels=labels, only=only, limit=limit, now=now)


def end(
    store: Store, leases: Iterable[Lease], outcome: JobOutcome = SUCCESS, now: float = NOON
) -> list[Event]:
    """Ends these jobs, one after the other."""
    return [event for each in leases for event in queue.finish(store, each, outcome, now)]


def runs_of(leases: Iterable[Lease]) -> list[int]:
    return [each.run for each in leases]


def work_off(
    store: Store, now: float = NOON, most: int = 99, labels: Collection[str] = ()
) -> list[int]:
    """Runs whatever there is, up to `most` jobs at a time; returns the runs in the order of leases."""
    done: list[int] = []
    while leases := take(store, most, now=now, labels=labels):
        done += runs_of(leases)
        end(store, leases, now=now)
    return done


def limit(store: Store, kind: Any, name: str = "", *, now: float = NOON, **values: Any) -> None:
    """Sets limits as somebody who manages the queue does."""
    limits.change(store.promises, Scope(kind, name, **values), now)


def held(store: Store, run: int) -> set[str]:
    """For which limits the run waits."""
    return {job.held for job in hot.load_run(store.notes, run).jobs.values()} - {""}


def ends(store: Store) -> Mapping[int, tuple[str | None, str]]:
    """The result and reason of each run, by number."""
    return {run.id: (run.result, run.reason) for run in reads.runs(store, limit=10_000)}


def counts_are_right(store: Store, now: float = NOON) -> bool:
    """Whether every limit counts exactly what runs."""
    return limits.reconcile(store.promises, now) == []


def register(
    store: Store, name: str, *, process: str | None = None, seen_at: float = NOON
) -> WorkerRecord:
    """Makes a worker known; it is this process, unless that is another one."""
    record = WorkerRecord(
        name=name,
        process=queue.process_identity() if process is None else process,
        host="here",
        labels=(),
        slots=1,
        state="working",
        started_at=seen_at,
        seen_at=seen_at,
    )
    workers.register(store.notes, record)
    return record


def gone() -> str:
    """The identity of a process of this machine that has ended."""
    pid, rest = queue.process_identity().split(":", 1)
    return f"{int(pid) + 5_000_000}:{rest}"


def elsewhere() -> str:
    """The identity of a process of a machine that cannot be seen from here."""
    pid, start_time, _ = queue.process_identity().split(":")
    return f"{pid}:{start_time}:another-boot/1@another-machine"
