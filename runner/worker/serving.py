"""A worker of the queue: takes what is ready, whoever submitted it, until told to stop."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
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
from runner.store import Store, dead, workers
from runner.store.workers import WorkerRecord, WorkerState
from runner.worker.attempt import attempt
from runner.worker.hands import HEARTBEAT, Hands, Wish
from runner.worker.journal import Journal
from runner.worker.lacking import PATIENCE, Lacking
from runner.worker.listening import listen
from runner.worker.log import Log
from runner.worker.means import Shared, Site
from runner.worker.remainder import what_stays

#: Seconds between looks at what time and others did: what is due, who died.
TEND = 1.0
#: Seconds between looks while all hands are full: somebody may want that a job stops.
CALM = 0.1
#: Seconds between counting anew what limits count.
RECONCILE = 60.0
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
        self._journal = Journal(lambda events: store.record(*events), log)
        self._hands = Hands(store, self.name, self._run, self._notice)
        #: So that nobody finds a job leased and not yet in hand.
        self._handing_over = threading.Lock()
        self._listener = store.listener()
        self._tended = self._reconciled = float("-inf")
        self._lacking = Lacking(site.confirm, log)
        self._taken = 0
        self._asked = self._heard = 0
        self._has_crashed = False

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
        # What is there by now stays: no need to look through it for garbage again and again.
        gc.freeze()
        with ExitStack() as ends:
            ends.callback(gc.unfreeze)
            ends.callback(self._listener.close)
            workers.register(self._store.notes, self._record())
            ends.callback(self._leave)
            ends.callback(self._journal.close)
            ends.callback(self._hands.end)
            self._lacking.confirm_engine()
            self._go_on()

    def _go_on(self) -> None:
        try:
            while not self._is_done():
                self._listener.calm()
                self._wait(self._turn())
            self._tell_what_stays()
        except BaseException:
            self._has_crashed = True
            raise

    # -- one turn

    def _turn(self) -> float:
        """Does what there is to do; returns for how many seconds nothing will come by itself."""
        self._hear()
        self._hands.tell(stop=self._asked > 1, now=self._asked > 2)
        try:
            # Whoever has rung waits for this; what else is due has waited for longer already.
            self._take()
            if self._is_to_tend():
                self._tend()
                self._take()
            self._hands.beat()
            self._lacking.clear()
            return self._patience()
        except EnvironmentMissingError as error:
            self._lacking.note(error)
            return PATIENCE

    def _hear(self) -> None:
        # Not in the signal handler, which may have interrupted the log.
        if self._heard < self._asked:
            self._heard = self._asked
            self._log.say("info", _ASKED[self._heard - 1])

    def _is_to_tend(self) -> bool:
        return time.monotonic() - self._tended >= TEND

    def _tend(self) -> None:
        now = time.monotonic()
        state: WorkerState = "stopping" if self._asked else "working"
        if not workers.seen(self._store.notes, self.name, state, self._store.now()):
            workers.register(self._store.notes, self._record())
        for run, key in queue.tend(self._store, self._store.now()).lost:
            self._log.say("warning", "its worker is gone; it goes on elsewhere", run=run, job=key)
        with self._handing_over:
            held = self._hands.jobs()
            dropped = queue.drop(self._store, self.name, held, self._store.now()).lost
        for run, key in dropped:
            self._log.say("warning", "it was leased, but did not begin", run=run, job=key)
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
            # Without an engine for containers, only jobs that want none can run.
            only="" if self._lacking.has_engine() else SELF_HOSTED,
            limit=free,
            now=now,
        ):
            self._taken += 1
            self._announce(lease)
            self._hands.take(lease)

    def _announce(self, lease: Lease) -> None:
        self._tell(lease.events)
        self._log.say("info", f"attempt {lease.attempt} begins", run=lease.run, job=lease.key)

    def _patience(self) -> float:
        waits = [HEARTBEAT if len(self._hands) else TEND]
        due = queue.next_time(self._store)
        if due is not None:
            waits.append(max(0.005, due - self._store.now()))
            if due <= self._store.now():
                self._tended = float("-inf")
        beside = self._do_beside()
        if beside is not None:
            waits.append(beside)
        return min(waits)

    def _do_beside(self) -> float | None:
        try:
            return self._beside()
        except EnvironmentMissingError:
            raise
        except Exception as error:
            # What goes wrong there ends no job.
            self._log.say("error", f"{type(error).__name__}: {error}")
            return PATIENCE

    def _wait(self, seconds: float) -> None:
        if self._is_done():
            return
        begun = time.monotonic()
        listen(self._listener, seconds)
        # Others ring at each end of a job, and who has no hand free need not look each time.
        while self._has_time() and (left := begun + CALM - time.monotonic()) > 0:
            self._listener.calm()
            listen(self._listener, left)

    def _has_time(self) -> bool:
        return len(self._hands) >= self._terms.slots and self._heard == self._asked

    def _is_done(self) -> bool:
        if len(self._hands):
            return False
        if self._asked or (self._terms.once and self._taken):
            return True
        return self._terms.drain and not self._lacking.missing and self._is_drained()

    def _is_drained(self) -> bool:
        try:
            return not queue.is_open(self._store, self._labels(), self._store.now())
        except EnvironmentMissingError as error:
            self._lacking.note(error)
            return False

    def _tell_what_stays(self) -> None:
        if self._terms.drain and not self._asked:
            try:
                stays = what_stays(self._store, self._labels())
            except EnvironmentMissingError as error:
                stays = error.message
            if stays:
                self._log.say("warning", stays)

    # -- in a job's thread

    def _run(self, lease: Lease, wish: Wish) -> Lease | None:
        had_engine = not self._lacking.engine
        outcome = self._end(lease, wish)
        failed = outcome.result == "failure" and not wish.stop
        is_innocent = failed and had_engine and not self._lacking.confirm_engine()
        # Nobody wanted that it stops.
        is_innocent |= self._has_crashed and outcome.result == "cancelled"
        while (following := self._recorded(lease, None if is_innocent else outcome)) is None:
            if self._asked > 2:
                message = "its end could not be recorded: it will be taken for lost"
                self._log.say("error", message, run=lease.run, job=lease.key)
                return None
            time.sleep(PATIENCE)
        return next(iter(following), None)

    def _end(self, lease: Lease, request: Request) -> JobOutcome:
        try:
            with self._shared.of(lease) as run:

                def emit(event: Event) -> None:
                    self._journal.add(event)
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
        reused = queue.reused_by(submission)
        if reused and submission.rerun_of is not None:
            self._storage.artifacts.adopt(submission.rerun_of, run, {key: key for key in reused})

    def _recorded(self, lease: Lease, outcome: JobOutcome | None) -> list[Lease] | None:
        """The job to go on with, if one was leased, once the end is recorded or nobody wants to know
        it any more; None as long as it is not.

        An outcome that is None: it ended as the engine or this worker was gone, so that is no outcome.
        """
        try:
            if outcome is not None:
                return self._finished(lease, outcome)
            self._journal.flush()
            self._tell(queue.give_back(self._store, lease, self._store.now()))
        except (queue.LeaseLostError, queue.UnreadableRunError) as error:
            self._log.say("warning", error.message, run=lease.run, job=lease.key)
        except EnvironmentMissingError as error:
            self._lacking.note(error)
            return None
        except Exception as error:
            return self._abandoned(lease, f"{type(error).__name__}: {error}")
        return []

    def _abandoned(self, lease: Lease, error: str) -> list[Lease] | None:
        """As `_recorded`, of a run about which nothing can be decided."""
        self._log.say("error", f"the run cannot go on: {error}", run=lease.run)
        try:
            queue.abandon(self._store, lease.run, error, self._store.now())
        except EnvironmentMissingError as missing:
            self._lacking.note(missing)
            return None
        return []

    def _finished(self, lease: Lease, outcome: JobOutcome) -> list[Lease]:
        """Records it, and in the same transaction leases the next job, if that is to go on."""
        with self._journal.taken(lease.run, lease.key) as earlier:
            events, following = self._finished_with(lease, outcome, earlier)
        self._tell(events)
        self._let_go(lease, events)
        if following is None:
            return []
        self._announce(following)
        return [following]

    def _finished_with(
        self, lease: Lease, outcome: JobOutcome, earlier: Sequence[Event]
    ) -> tuple[list[Event], Lease | None]:
        now = self._store.now()
        if self._leases_no_more() or self._lacking.engine:
            return queue.finish(self._store, lease, outcome, now, earlier), None
        with self._handing_over:
            events, following = queue.finish_and_lease(
                self._store,
                lease,
                outcome,
                self.name,
                labels=self._labels(),
                now=now,
                earlier=earlier,
            )
            if following:
                self._hands.follow(lease, following)
        return events, following

    def _leases_no_more(self) -> bool:
        return bool(self._asked) or self._has_crashed or self._terms.once

    def _let_go(self, lease: Lease, events: Iterable[Event]) -> None:
        """The source of a run that has ended, unless it may be wanted again."""
        ended = next((each for each in events if isinstance(each, RunFinished)), None)
        if ended is None:
            return
        try:
            if not self._is_dead(ended):
                unpin_snapshot(lease.submission.snapshot, self._storage.folder)
        except (OSError, PipeError) as error:
            # The end is recorded already; `pipe prune` finds what nobody needs.
            message = f"its source stays until `pipe prune`: {error}"
            self._log.say("warning", message, run=lease.run)

    def _is_dead(self, ended: RunFinished) -> bool:
        if ended.result != "cancelled":
            return ended.result == "failure"
        return bool(dead.letters(self._store.notes, ended.run))

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
