"""What is kept about runs: one database file under PIPE_HOME, and the ways to read and write it."""

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runner.errors import EnvironmentMissingError, PipeError
from runner.events import Event, JobFinished, JobQueued, RunFinished, RunStarted
from runner.store import bell, hot, projection, schema
from runner.store.bell import Listener
from runner.store.connection import Connection

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["Store"]

#: Events that the queue writes together with what they change.
_OF_THE_QUEUE = (RunStarted, RunFinished, JobQueued, JobFinished)


class Store:
    """The database of one PIPE_HOME. Threads may share it; each process opens its own."""

    def __init__(self, home: Path, promises: Connection, notes: Connection) -> None:
        self.home = home
        #: Where the bytes of runs are: PIPE_STORAGE.
        self.storage = home
        #: For what must survive a loss of power once it is acknowledged: a run, a result.
        self.promises = promises
        #: For what may be repeated or missed then: leases, heartbeats, events, questions.
        self.notes = notes

    @classmethod
    def open(cls, home: Path) -> Self:
        """The store in the folder `home`; creates what is absent, migrates what is older.

        Raises EnvironmentMissingError when that is impossible, or a newer version wrote it.
        """
        path = home / "pipe.db"
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)
        except OSError as error:
            raise EnvironmentMissingError(
                f"cannot write to {path} ({error.strerror})",
                hint="make the folder writable, or set PIPE_HOME to another one",
            ) from error
        schema.ensure(path)
        return cls(home, Connection(path, durable=True), Connection(path, durable=False))

    def close(self) -> None:
        """Closing twice is harmless."""
        self.promises.close()
        self.notes.close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    def now(self) -> float:
        """The time that all who share this store go by, in seconds since the epoch."""
        return time.time()

    def wake(self) -> None:
        """Rings at all who wait for work; call it after the commit that made some."""
        bell.ring(self.home)

    def listener(self) -> Listener:
        """What `wake` rings at, until it is closed."""
        return Listener(self.home)

    def record(self, event: Event) -> None:
        """Writes one event down, at once: a sink for all but what the queue writes itself.

        Progress (`OutputWritten`, `ImagePulling` before it is done) is not kept.
        """
        if isinstance(event, _OF_THE_QUEUE):
            raise PipeError(f"{type(event).__name__} is recorded by the queue, and only there")
        if projection.is_kept(event):
            hot.insert_event(self.notes, event)

    def events(self, run: int, after: int = 0) -> list[tuple[int, Event]]:
        """The events of a run with a `seq` above `after`, each with its own, in order."""
        return hot.events_after(self.notes, run, after)

    @cached_property
    def engine(self) -> "Engine":
        """For listings, which read through SQLModel; nothing can be written through it."""
        from runner.store.reads import open_engine

        return open_engine(self.home / "pipe.db")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
