"""A worker of the queue: takes what is ready, whoever submitted it, until told to stop."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from runner import queue
from runner.errors import EnvironmentMissingError, PipeError
from runner.events import Emit, Event, RunFinished
from runner.execute.place import SELF_HOSTED
from runner.execute.task import Request
from runner.project import unpin_snapshot
from runner.queue import JobOutcome, Lease, Submission
from runner.storage import Storage
from runner.store import Store, workers
from runner.store.workers import WorkerRecord, WorkerState
from runner.worker.attempt import attempt
from runner.worker.hands import HEARTBEAT, Hands, Wish
from runner.worker.listening import listen
from runner.worker.log import Log
from runner.worker.means import Shared, Site

#: Seconds between looks at what time and others did: what is due, who died.
TEND = 1.0
#: Seconds between counting anew what limits count.
RECONCILE = 60.0
#: Seconds until something is tried again that the machine lacked: the database, the engine.
PATIENCE = 2.0
#: What it means to be asked to stop, the first time and each time after.
_ASKED = (
    "asked to stop: ends when what runs has ended; asked again, it cancels that",
    "asked to stop again: cancels what runs; asked once more, it ends that at once",
    "asked to stop at once",
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a worker works. `drain`: until nothing is left to do; `once`: until it did one job."""

    slots: int
    labels: tuple[str, ...] = ()
    drain: bool = False
    once: bool = False


class QueueWorker:
    """Runs jobs in threads of this process, up to `slots` at a time."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        site: Site,
        terms: Terms,
        show: Emit,
        log: Log,
        beside: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`show` gets every event of what runs here, from several threads.

        `beside` is done in each turn; it returns in how many seconds it wants to be done again.
        """
        self.name = f"{os.uname().nodename}:{os.getpid()}:{os.urandom(3).hex()}"
        self._store = store
        self._storage = storage
        self._terms = terms
        self._show = show
        self._log = log
        self._beside = beside
        self._site = site
        self._shared = Shared(site)
        self._hands = Hands(store, self.name, self._run, self._notice)
        self._listener = store.listener()
        self._tended = self._reconciled = self._confirmed = float("-inf")
        self._lacking = ""
        self._without_engine = False
        self._taken = 0
        self._asked = self._heard = 0

    def stop(self) -> None:
        """Lease nothing more; asked again, cancel what runs; and again, end it at once.

        Safe in a signal handler.
        """
        self._asked = min(self._asked + 1, len(_ASKED))
        self._listener.ring()

    def work(self) -> None:
        """Until told to stop, or until what its terms name is done.

        Raises EnvironmentMissingError when it cannot even begin.
        """
        with ExitStack() as ends:
            ends.callback(self._listener.close)
            workers.register(self._store.notes, self._record())
            ends.callback(self._leave)
            ends.callback(self._hands.end)
            self._confirm()
            while not self._is_done():
                self._listener.calm()
                self._wait(self._turn())

    # -- one turn

    def _turn(self) -> float:
        """Does what there is to do; returns for how many seconds nothing will come by itself."""
        try:
            self._hear()
            self._tend()
            self._take()
            self._hands.beat(stop=self._asked > 1, now=self._asked > 2)
            self._found()
            return self._patience()
        except EnvironmentMissingError as error:
            self._lack(error)
            return PATIENCE

    def _hear(self) -> None:
        # Not in the signal handler, which may have interrupted the log.
        if self._heard < self._asked:
            self._heard = self._asked
            self._log.say("info", _ASKED[self._heard - 1])

    def _tend(self) -> None:
        now = time.monotonic()
        if now - self._tended < TEND:
            return
        state: WorkerState = "stopping" if self._asked else "working"
        if not workers.seen(self._store.notes, self.name, state, self._store.now()):
            workers.register(self._store.notes, self._record())
        for run, key in queue.tend(self._store, self._store.now()).lost:
            self._log.say("warning", "its worker is gone; it goes on elsewhere", run=run, job=key)
        if now - self._reconciled >= RECONCILE:
            self._reconciled = now
            for scope, by in queue.reconcile(self._store, self._store.now()):
                self._log.say("warning", f"the count of what runs in {scope} was wrong by {by}")
        self._tended = now

    def _take(self) -> None:
        free = self._terms.slots - len(self._hands)
        if self._terms.once:
            free = min(free, 1 - self._taken)
        if self._asked or free <= 0:
            return
        now = self._store.now()
        for lease in queue.lease(
            self._store,
            self.name,
            labels=self._labels(),
            only=self._only(),
            limit=free,
            now=now,
        ):
            self._taken += 1
            self._tell(lease.events)
            self._log.say("info", f"attempt {lease.attempt} begins", run=lease.run, job=lease.key)
            self._hands.take(lease)

    def _only(self) -> str:
        """Without an engine for containers, only jobs that want none can run."""
        is_due = time.monotonic() - self._confirmed >= PATIENCE
        if self._without_engine and is_due:
            self._confirm()
        return SELF_HOSTED if self._without_engine else ""

    def _confirm(self) -> bool:
        """Whether containers can run here now; says so when that has changed."""
        self._confirmed = time.monotonic()
        try:
            self._site.confirm()
        except EnvironmentMissingError as error:
            if not self._without_engine:
                self._log.say("error", f"{error.message}: jobs in containers wait for it")
            self._without_engine = True
            return False
        if self._without_engine:
            self._log.say("info", "the engine for containers is there again")
        self._without_engine = False
        return True

    def _patience(self) -> float:
        waits = [HEARTBEAT if len(self._hands) else TEND]
        due = queue.next_time(self._store)
        if due is not None:
            waits.append(max(0.005, due - self._store.now()))
            if due <= self._store.now():
                self._tended = float("-inf")
        beside = self._beside()
        if beside is not None:
            waits.append(beside)
        return min(waits)

    def _wait(self, seconds: float) -> None:
        if not self._is_done():
            listen(self._listener, seconds)

    def _is_done(self) -> bool:
        if len(self._hands):
            return False
        if self._asked or (self._terms.once and self._taken):
            return True
        return self._terms.drain and not self._lacking and self._is_drained()

    def _is_drained(self) -> bool:
        try:
            return not queue.is_open(self._store, self._labels())
        except EnvironmentMissingError as error:
            self._lack(error)
            return False

    # -- what is lacking

    def _lack(self, error: EnvironmentMissingError) -> None:
        if error.message != self._lacking:
            self._lacking = error.message
            self._log.say("error", f"{error.message}; trying again every {PATIENCE:g} s")

    def _found(self) -> None:
        if self._lacking:
            self._lacking = ""
            self._log.say("info", "what was missing is there again")

    # -- in a job's thread

    def _run(self, lease: Lease, wish: Wish) -> None:
        had_engine = not self._without_engine
        outcome = self._end(lease, wish)
        failed = outcome.result == "failure" and not wish.stop
        is_innocent = failed and had_engine and not self._confirm()
        while not self._is_recorded(lease, None if is_innocent else outcome):
            time.sleep(PATIENCE)

    def _end(self, lease: Lease, request: Request) -> JobOutcome:
        try:
            with self._shared.of(lease) as run:

                def emit(event: Event) -> None:
                    self._store.record(event)
                    self._show(event)
                    run.emit(event)

                self._take_over(lease.submission, lease.run)
                return attempt(lease, run.means, self._storage, emit, request)
        except PipeError as error:
            self._log.say("error", error.message, run=lease.run, job=lease.key)
            return JobOutcome("failure", reason="environment")
        except Exception as error:
            # A bug of ours ends this job, and none of the others.
            message = f"internal error: {type(error).__name__}: {error}"
            self._log.say("error", message, run=lease.run, job=lease.key)
            return JobOutcome("failure", reason="internal-error")

    def _take_over(self, submission: Submission, run: int) -> None:
        """What jobs of an earlier run have stored, whose results this run reuses."""
        jobs = submission.options.get("taken_over", ())
        if jobs and submission.rerun_of is not None:
            self._storage.artifacts.adopt(submission.rerun_of, run, {key: key for key in jobs})

    def _is_recorded(self, lease: Lease, outcome: JobOutcome | None) -> bool:
        """Whether the end is recorded, or nobody wants to know it any more.

        None: it failed as the engine was gone, so that is no outcome.
        """
        now = self._store.now()
        try:
            if outcome is None:
                self._tell(queue.give_back(self._store, lease, now))
            else:
                events = queue.finish(self._store, lease, outcome, now)
                self._tell(events)
                self._let_go(lease, events)
        except queue.LeaseLostError as error:
            self._log.say("warning", error.message, run=lease.run, job=lease.key)
        except EnvironmentMissingError as error:
            self._lack(error)
            return False
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            queue.abandon(self._store, lease.run, message, self._store.now())
            self._log.say("error", f"the run cannot be read: {message}", run=lease.run)
        return True

    def _let_go(self, lease: Lease, events: Iterable[Event]) -> None:
        """The source of a run that has ended, unless it may be wanted again."""
        for event in events:
            if isinstance(event, RunFinished) and event.result != "failure":
                unpin_snapshot(lease.submission.snapshot, self._storage.folder)

    def _notice(self) -> None:
        self._listener.ring()

    # -- who it is

    def _labels(self) -> list[str]:
        own = [label.lower() for label in self._terms.labels]
        return [*own, SELF_HOSTED] if self._site.allow_host else own

    def _record(self) -> WorkerRecord:
        now = self._store.now()
        return WorkerRecord(
            name=self.name,
            process=queue.process_identity(),
            host=os.uname().nodename,
            labels=self._labels(),
            slots=self._terms.slots,
            state="working",
            started_at=now,
            seen_at=now,
        )

    def _leave(self) -> None:
        try:
            workers.unregister(self._store.notes, self.name)
        except EnvironmentMissingError as error:
            # Others notice that this process is gone.
            self._log.say("warning", error.message)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._show(event)
