"""Events of running jobs on their way to the store: those of one moment are written together."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from runner.errors import EnvironmentMissingError
from runner.events import Event
from runner.store.projection import is_kept
from runner.worker.lacking import PATIENCE
from runner.worker.log import Log

#: Seconds that an event waits for others: a transaction for each costs more than a short job.
GATHERING = 0.05
#: So many wait at most while the store is away; who has one more waits for it too.
MOST = 500


class Journal:
    """Writes down what is added soon, in order, unless it is taken before. Threads may share it."""

    def __init__(self, write: Callable[[Sequence[Event]], None], log: Log) -> None:
        """`write` puts events into the store; it raises EnvironmentMissingError when that is away."""
        self._write = write
        self._log = log
        #: Held while events are on their way, so that none overtakes them.
        self._changed = threading.Condition()
        self._waiting: list[Event] = []
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def add(self, event: Event) -> None:
        """Raises EnvironmentMissingError when the store is away, and much waits for it already."""
        if not is_kept(event):
            return
        with self._changed:
            self._waiting.append(event)
            if len(self._waiting) == 1:
                self._changed.notify_all()
            if len(self._waiting) > MOST:
                self._flush()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._thread.start()

    @contextmanager
    def taken(self, run: int, job: str) -> Iterator[Sequence[Event]]:
        """What waits of a job that has ended, to be written with its end; an error puts it back."""
        with self._changed:
            waiting, self._waiting = self._waiting, []
            taken: list[Event] = []
            for event in waiting:
                (taken if _is_of(event, run, job) else self._waiting).append(event)
        try:
            yield taken
        except BaseException:
            with self._changed:
                self._waiting = [*taken, *self._waiting]
                self._changed.notify_all()
            raise

    def flush(self) -> None:
        """Write all that waits. Raises EnvironmentMissingError; it goes on waiting then."""
        with self._changed:
            self._flush()

    def close(self) -> None:
        """What waits is written, if the store is there."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._is_closing:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                self._pause(GATHERING)
                try:
                    self._flush()
                except EnvironmentMissingError:
                    self._pause(PATIENCE)
            with suppress(EnvironmentMissingError):
                self._flush()

    def _pause(self, seconds: float) -> None:
        self._changed.wait_for(lambda: self._is_closing, seconds)

    def _flush(self) -> None:
        if self._is_written(self._waiting) or len(self._waiting) == 1:
            self._waiting = []
        # A bug of ours takes none of the others with it.
        while self._waiting:
            self._is_written(self._waiting[:1])
            del self._waiting[0]

    def _is_written(self, events: Sequence[Event]) -> bool:
        try:
            if events:
                self._write(events)
        except EnvironmentMissingError:
            raise
        except Exception as error:
            if len(events) == 1:
                message = f"internal error: an event was lost: {type(error).__name__}: {error}"
                self._log.say("error", message, run=events[0].run)
            return False
        return True


def _is_of(event: Event, run: int, job: str) -> bool:
    return event.run == run and getattr(event, "job", "") == job
