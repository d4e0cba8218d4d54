"""Runs that end before all of their jobs have: somebody wants it, or their process is gone."""

from collections.abc import Collection

from runner.events import Event
from runner.queue import happenings
from runner.queue.leases import LEASE_SECONDS
from runner.queue.together import alter
from runner.store import Store, leases
from runner.store.process import is_alive, is_visible


def cancel(store: Store, run: int, now: float) -> list[Event]:
    """Asks a run to stop: what has not started is cancelled, workers are told to end the rest.

    Jobs whose condition holds in a cancelled run go on. A finished run stays as it is.
    """
    events = alter(store, run, now, happenings.cancel)
    # Whoever runs a job of it looks at once whether that is to stop.
    store.wake()
    return events


def rescue(store: Store, now: float, runs: Collection[int] | None = None) -> list[Event]:
    """Ends the runs whose process is gone as failures; returns the events recorded for them.

    With `runs` it looks at these alone. A process in another container is gone when it has not
    renewed a lease for long.
    """
    events: list[Event] = []
    for run, owner, held_until in leases.owned_runs(store.notes):
        if runs is not None and run not in runs:
            continue
        is_silent = now > held_until + LEASE_SECONDS
        if not is_alive(owner) or (is_silent and not is_visible(owner)):
            events += alter(store, run, now, happenings.lose)
    return events
