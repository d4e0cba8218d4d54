"""What has to be done from time to time, by whoever works: what is due, over, or left by the dead."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from runner.events import Event
from runner.queue.change import Change
from runner.queue.happenings import expire, lose_attempt, overrun
from runner.queue.leases import LEASE_SECONDS
from runner.queue.stopping import rescue
from runner.queue.together import alter, change
from runner.store import Store, approvals, census, claims, due, limits, lines, workers
from runner.store.deliveries import environment_locks
from runner.store.process import is_alive, is_visible
from runner.store.workers import Held, WorkerRecord


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done; `lost` are the runs and keys of jobs whose workers were gone."""

    lost: tuple[tuple[int, str], ...] = ()


def tend(store: Store, now: float) -> Tended:
    """What is due may go on, what waits or goes on for too long ends; the dead's jobs go on, and
    their own runs end."""
    claims.promote(store.notes, now)
    for run in due.runs_due(store.notes, now):
        alter(store, run, now, Change.enter)
    for run in due.runs_expired(store.notes, now):
        alter(store, run, now, expire)
    for run in due.runs_overrun(store.notes, now):
        alter(store, run, now, overrun)
    look_at_gates(store, now)
    rescue(store, now)
    return Tended(tuple(_lost(store, now)))


def look_at_gates(store: Store, now: float) -> None:
    """Jobs may enter their environments that waited for a time which has come."""
    for run in approvals.runs_due(store.notes, now):
        alter(store, run, now, _nothing)


def open_gates(store: Store, now: float) -> None:
    """Jobs may enter their environments that somebody kept them away from, and does no more."""
    locks = {name.casefold() for name in environment_locks(store.notes)}
    for held, runs in census.held_runs(store.notes).items():
        kind, _, environment = held.partition(": ")
        if kind == "lock" and environment.casefold() not in locks:
            for run in runs:
                alter(store, run, now, _nothing)


def _nothing(_: Change) -> None:
    """What follows is all that is wanted."""


def tend_run(store: Store, run: int, now: float) -> list[Event]:
    """Ends that run if it waits or goes on for too long; returns the events recorded for it."""
    events: list[Event] = []
    if run in due.runs_expired(store.notes, now):
        events += change(store, run, now, expire)
    if run in due.runs_overrun(store.notes, now):
        events += change(store, run, now, overrun)
    if run in approvals.runs_due(store.notes, now):
        events += change(store, run, now, _nothing)
    return events


def next_time(store: Store) -> float | None:
    """When something becomes due, in seconds since the epoch, as far as that is known."""
    return due.next_time(store.notes)


def reconcile(store: Store, now: float) -> list[tuple[limits.Scope, int]]:
    """Counts what runs anew, and frees who may start; returns what was wrong, and by how much.

    Also lets those go on whose turn came as whoever was to see to that was killed.
    """
    for run in lines.idle_runs(store.notes):
        alter(store, run, now, _nothing)
    open_gates(store, now)
    return limits.reconcile(store.promises, now)


def drop(store: Store, worker: str, held: Collection[tuple[int, str]], now: float) -> Tended:
    """What the worker has leased, but does not hold: something went wrong before it began, or as it
    ended. Nobody else would notice, as the worker lives."""
    leased = workers.leased_by(store.notes, worker)
    forgotten = [each for each in leased if (each.run, each.key) not in held]
    return Tended(tuple(_requeue(store, forgotten, now)))


def is_gone(worker: WorkerRecord, now: float) -> bool:
    """Whether the worker has ended: one that cannot be seen from here, when its leases are over."""
    if is_visible(worker.process):
        return not is_alive(worker.process)
    return now > worker.seen_at + LEASE_SECONDS


def _lost(store: Store, now: float) -> list[tuple[int, str]]:
    lost: list[tuple[int, str]] = []
    for worker in workers.all_workers(store.notes):
        if is_gone(worker, now):
            lost += _requeue(store, workers.leased_by(store.notes, worker.name), now)
            workers.unregister(store.notes, worker.name)
    return lost + _requeue(store, workers.leased_by_nobody(store.notes, now), now)


def _requeue(store: Store, held: list[Held], now: float) -> list[tuple[int, str]]:
    for each in held:
        alter(store, each.run, now, partial(lose_attempt, key=each.key, token=each.token))
    if held:
        store.wake()
    return [(each.run, each.key) for each in held]
