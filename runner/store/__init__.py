"""What is kept about runs, in a file under PIPE_HOME or on a server, and the ways to use it."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runner.errors import PipeError
from runner.events import Event, JobFinished, JobQueued, RunFinished, RunStarted
from runner.store import hot, projection
from runner.store.bell import Listener
from runner.store.connection import Connection
from runner.store.location import Location, location

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["Store"]

#: Events that the queue writes together with what they change.
_OF_THE_QUEUE = (RunStarted, RunFinished, JobQueued, JobFinished)


class Store:
    """The database of one PIPE_HOME, or one server. Threads may share it; a process opens its own."""

    def __init__(
        self,
        home: Path,
        storage: Path,
        location: Location,
        promises: Connection,
        notes: Connection,
    ) -> None:
        self.home = home
        #: Where the bytes of runs are: PIPE_STORAGE.
        self.storage = storage
        self.location = location
        #: For what must survive a loss of power once it is acknowledged: a run, a result.
        self.promises = promises
        #: For what may be repeated or missed then: leases, heartbeats, events, questions.
        self.notes = notes

    @classmethod
    def open(cls, home: Path, url: str = "", storage: Path | None = None) -> Self:
        """The store at `url`, or in the folder `home`; creates what is absent, migrates what is older.

        `storage` has the bytes of its runs; they are in `home` unless it is given. Raises
        EnvironmentMissingError when it cannot be opened, or a newer version wrote it.
        """
        where = location(home, url)
        return cls(home, storage or home, where, *where.open())

    def close(self) -> None:
        """Closing twice is harmless."""
        self.location.close()
        self.promises.close()
        self.notes.close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    def now(self) -> float:
        """The time that all who share this store go by, in seconds since the epoch."""
        return self.location.now()

    def wake(self) -> None:
        """Rings at all who wait for work; call it after the commit that made some."""
        self.location.wake()

    def listener(self) -> Listener:
        """What `wake` rings at, until it is closed."""
        return self.location.listener()

    def record(self, *events: Event) -> None:
        """Writes events down, at once: a sink for all but what the queue writes itself.

        Progress (`OutputWritten`, `ImagePulling` before it is done) is not kept.
        """
        for event in events:
            if isinstance(event, _OF_THE_QUEUE):
                raise PipeError(f"{type(event).__name__} is recorded by the queue, and only there")
        if kept := [event for event in events if projection.is_kept(event)]:
            hot.insert_events(self.notes, kept)

    def events(self, run: int, after: int = 0) -> list[tuple[int, Event]]:
        """The events of a run with a `seq` above `after`, each with its own, in order."""
        return hot.events_after(self.notes, run, after)

    @cached_property
    def engine(self) -> "Engine":
        """For listings, which read through SQLModel; nothing can be written through it."""
        return self.location.engine()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
