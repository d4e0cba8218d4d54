"""The jobs that a worker runs now, each in a thread of its own: held, told to stop, brought home."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner import queue
from runner.queue import Lease
from runner.store import Store

#: Seconds between looks at what other processes wrote: leases to renew, wishes to stop.
HEARTBEAT = 0.5


@dataclass(slots=True)
class Wish:
    """What somebody wants of a running job; read by its thread."""

    stop: bool = False
    now: bool = False

    def cancelled(self) -> bool:
        return self.stop

    def immediately(self) -> bool:
        return self.now


@dataclass(slots=True)
class _Running:
    lease: Lease
    wish: Wish
    thread: threading.Thread


class Hands:
    """The jobs that run; `work` runs one in its thread, to its end and its record.

    It returns the job that the thread goes on with, if it has leased one and called `follow`.
    """

    def __init__(
        self,
        store: Store,
        worker: str,
        work: Callable[[Lease, Wish], Lease | None],
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called from a job's thread when it has ended."""
        self._store = store
        self._worker = worker
        self._work = work
        self._changed = changed
        self._running: dict[tuple[int, str, int], _Running] = {}
        self._lock = threading.Lock()
        self._renewed = float("-inf")
        self._ending = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._running)

    def runs(self) -> set[int]:
        """The runs that the jobs belong to."""
        with self._lock:
            return {run for run, _, _ in self._running}

    def jobs(self) -> set[tuple[int, str]]:
        """Their runs and keys."""
        with self._lock:
            return {(run, key) for run, key, _ in self._running}

    def take(self, lease: Lease) -> None:
        """Start the job."""
        thread = threading.Thread(
            target=self._run, args=(lease,), name=f"job {lease.key}", daemon=True
        )
        with self._lock:
            self._running[_attempt(lease)] = _Running(lease, Wish(), thread)
        thread.start()

    def tell(self, *, stop: bool = False, now: bool = False) -> None:
        """Pass on what is wanted of all of them, also while the store is away."""
        for each in self._all():
            each.wish.stop |= stop
            each.wish.now |= now

    def beat(self) -> None:
        """Renew what is held, and pass on whom others want to stop."""
        running = self._all()
        if not running:
            return
        wanted = set(queue.cancel_requests(self._store, self._worker))
        due = time.monotonic() - self._renewed >= HEARTBEAT
        for each in running:
            held = not due or queue.renew(self._store, each.lease, self._store.now())
            is_wanted = (each.lease.run, each.lease.key) in wanted
            each.wish.stop |= is_wanted or not held
        if due:
            self._renewed = time.monotonic()

    def end(self) -> None:
        """Whatever still runs ends now: nobody is left to tell it anything."""
        with self._lock:
            self._ending = True
        running = self._all()
        for each in running:
            each.wish.stop = each.wish.now = True
        for each in running:
            each.thread.join()

    def _all(self) -> list[_Running]:
        with self._lock:
            return list(self._running.values())

    def follow(self, lease: Lease, following: Lease) -> None:
        """In a job's thread, before `work` returns `following`: it is held from now on."""
        with self._lock:
            ended = self._running.pop(_attempt(lease))
            wish = Wish(stop=self._ending, now=self._ending)
            self._running[_attempt(following)] = _Running(following, wish, ended.thread)

    def _run(self, lease: Lease) -> None:
        following: Lease | None = lease
        try:
            while following:
                lease = following
                with self._lock:
                    wish = self._running[_attempt(lease)].wish
                following = self._work(lease, wish)
        finally:
            with self._lock:
                self._running = {
                    attempt: each
                    for attempt, each in self._running.items()
                    if each.thread is not threading.current_thread()
                }
            self._changed()


def _attempt(lease: Lease) -> tuple[int, str, int]:
    # The next attempt may begin before the thread of the last one is gone.
    return lease.run, lease.key, lease.attempt
