"""Lease, execute, finish: a worker's loop, with a heartbeat, until its run is over or told to stop."""

import threading
import time
from collections.abc import Iterable

from runner import queue
from runner.errors import EnvironmentMissingError
from runner.events import (
    Emit,
    Event,
    JobFinished,
    JobQueued,
    Level,
    Note,
    RunFinished,
    RunStarted,
)
from runner.queue import JobOutcome, Lease
from runner.storage import Storage
from runner.store import Store
from runner.store.approvals import HeldJob
from runner.worker.attempt import attempt
from runner.worker.hands import HEARTBEAT, Hands, Wish
from runner.worker.listening import listen
from runner.worker.means import Means

#: What to say of a run that ends because its time is over, by the reason that it has.
_OVER = {
    queue.EXPIRED: "the run has waited for its start for too long (`timeouts.queue`)",
    queue.TIMEOUT: "the run's time limit is over (`timeouts.run`)",
}
_QUEUE_EVENTS = (RunStarted, RunFinished, JobQueued, JobFinished, Note)
#: Kind, job, attempt and words of an event: it is told once.
_Identity = tuple[str, str, int, str]


class Worker:
    """Runs the jobs of one run in threads of this process, `slots` at a time."""

    def __init__(
        self, store: Store, storage: Storage, means: Means, emit: Emit, name: str, slots: int
    ) -> None:
        """`emit` gets every event of the run, from several threads; those that the queue did not
        record already are written to the store as well."""
        self._store = store
        self._storage = storage
        self._means = means
        self._show = emit
        self._name = name
        self._slots = slots
        self._hands = Hands(store, name, self._run, self._notice)
        self._told: set[_Identity] = set()
        self._lock = threading.RLock()
        self._listener = store.listener()
        self._cancel_wanted = False
        self._cancel_asked = False
        self._stop_now = False
        self._crash: BaseException | None = None
        self._rescued = float("-inf")
        self._explained: set[tuple[str, str]] = set()
        self._gave_up = False
        self._held: list[HeldJob] = []

    def cancel(self) -> None:
        """Ask the run to end; asked a second time, everything stops now. Safe in a signal handler."""
        self._stop_now = self._cancel_wanted
        self._cancel_wanted = True
        self._listener.ring()

    def work(self, run: int) -> RunFinished:
        """Run all of it. Raises what went wrong in our own code, after the run has ended, and
        EnvironmentMissingError when its end cannot be recorded; nothing of it runs then."""
        finished: RunFinished | None = None
        try:
            while finished is None and not self._gave_up:
                finished = self._turn(run)
        finally:
            self._hands.end()
            self._listener.close()
        if self._crash is not None:
            raise self._crash
        assert finished is not None
        return finished

    def _turn(self, run: int) -> RunFinished | None:
        self._listener.calm()
        if self._cancel_wanted and not self._cancel_asked:
            self._cancel_asked = True
            self._tell(queue.cancel(self._store, run, self._store.now()))
        self._start(run)
        queue.tend_run(self._store, run, self._store.now())
        self._beat(run)
        finished = self._finished(run)
        if finished is None:
            listen(self._listener, self._patience(run))
        return finished

    def _patience(self, run: int) -> float:
        if len(self._hands) >= self._slots:
            return HEARTBEAT
        self._stand_in_line(run)
        due = queue.next_due(self._store, run)
        return min(HEARTBEAT, max(0.01, due - self._store.now())) if due else HEARTBEAT

    def _stand_in_line(self, run: int) -> None:
        """Tells which groups something waits for, and sees to it that their holders live."""
        held = queue.held(self._store, run)
        if held != self._held:
            # Somebody else may have done that, and said why.
            self._held = held
            self._tell(event for _, event in self._store.events(run))
        waits = queue.waits(self._store, run)
        for wait in waits:
            if (wait.job, wait.group) not in self._explained:
                self._explained.add((wait.job, wait.group))
                note = Note(run=run, time=self._store.now(), job=wait.job, message=str(wait))
                self._emit(note)
        if (waits or held) and time.monotonic() - self._rescued >= HEARTBEAT:
            self._rescued = time.monotonic()
            queue.stay(self._store, run, self._store.now())
            holders = {place.run for wait in waits for place in wait.holders}
            queue.rescue(self._store, self._store.now(), holders)

    def _start(self, run: int) -> None:
        free = self._slots - len(self._hands)
        if free <= 0:
            return
        for lease in queue.lease(
            self._store, self._name, run=run, limit=free, now=self._store.now()
        ):
            if lease.events:
                # The run has started; what was decided when it entered is told now.
                self._tell([*lease.events, *(event for _, event in self._store.events(run))])
            self._hands.take(lease)

    def _beat(self, run: int) -> None:
        self._hands.tell(now=self._stop_now)
        self._hands.beat()
        if queue.cancelled(self._store, run) and not self._cancel_wanted:
            self._cancel_wanted = True
            self._emit(_stopping(run, self._store.now(), queue.reason(self._store, run)))
            # Jobs that ended by that are told before the run does.
            self._tell(event for _, event in self._store.events(run))

    def _finished(self, run: int) -> RunFinished | None:
        if len(self._hands):
            return None
        for _, event in reversed(self._store.events(run)):
            if isinstance(event, RunFinished):
                self._tell(event for _, event in self._store.events(run))
                return event
        return None

    def _notice(self) -> None:
        self._listener.ring()

    # -- in a job's thread

    def _run(self, lease: Lease, wish: Wish) -> None:
        try:
            self._finish(lease, self._end(lease, wish))
        except BaseException as error:
            # Its row says that it runs, for as long as this process lives.
            self._crash = self._crash or error
            self._gave_up = True

    def _end(self, lease: Lease, wish: Wish) -> JobOutcome:
        try:
            return attempt(lease, self._means, self._storage, self._emit, wish)
        except BaseException as error:
            self._crash = self._crash or error
            is_ours = not isinstance(error, EnvironmentMissingError)
            return JobOutcome("failure", reason="internal-error" if is_ours else "environment")

    def _finish(self, lease: Lease, outcome: JobOutcome) -> None:
        try:
            self._tell(queue.finish(self._store, lease, outcome, self._store.now()))
        except queue.LeaseLostError as error:
            self._emit(
                Note(run=lease.run, time=self._store.now(), message=error.message, job=lease.key)
            )

    # -- events

    def _emit(self, event: Event) -> None:
        self._store.record(event)
        if isinstance(event, Note):
            with self._lock:
                self._told.add(_identity(event))
        self._show(event)

    def _tell(self, events: Iterable[Event]) -> None:
        """Show what the queue recorded, each once, also what it did for other processes."""
        for event in events:
            if not isinstance(event, _QUEUE_EVENTS):
                continue
            identity = _identity(event)
            with self._lock:
                is_new = identity not in self._told
                self._told.add(identity)
            if not is_new:
                continue
            if isinstance(event, RunFinished) and event.reason == queue.EXPIRED:
                self._show(_stopping(event.run, event.time, event.reason))
            self._show(event)


def _identity(event: Event) -> _Identity:
    job, attempt = str(getattr(event, "job", "")), int(getattr(event, "attempt", 0))
    return type(event).__name__, job, attempt, event.message if isinstance(event, Note) else ""


def _stopping(run: int, now: float, reason: str) -> Note:
    """Why a run that nobody here wanted to stop comes to its end."""
    message = _OVER.get(reason) or (
        f"cancelled: {reason}" if reason else "cancelled from another process"
    )
    level: Level = "error" if reason in _OVER else "notice"
    return Note(run=run, time=now, message=message, level=level)
