"""The tables in one SQLite file of a folder of this machine."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import EnvironmentMissingError
from runner.store import bell
from runner.store.finding import Finding
from runner.store.sqlite import schema
from runner.store.sqlite.connection import SqliteConnection, clear_errors, explain

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["SqliteConnection", "SqliteFile"]

#: Seconds to wait where SQLite makes a reader wait, which is while a crashed file is recovered.
_PATIENCE = 5.0


class SqliteFile:
    """`pipe.db` in the folder `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = home / "pipe.db"

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> tuple[SqliteConnection, SqliteConnection]:
        """Creates what is absent, migrates what is older. Raises EnvironmentMissingError."""
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                self.path.touch(mode=0o600)
        except OSError as error:
            raise EnvironmentMissingError(
                f"cannot write to {self.path} ({error.strerror})",
                hint="make the folder writable, or set PIPE_HOME to another one",
            ) from error
        schema.ensure(self.path)
        durable = SqliteConnection(self.path, durable=True)
        return durable, SqliteConnection(self.path, durable=False)

    def engine(self) -> "Engine":
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        return create_engine("sqlite://", creator=self._read_only, poolclass=NullPool)

    def explained(self, error: BaseException | None) -> EnvironmentMissingError | None:
        return explain(self.path, error)

    def examine(self) -> Iterator[Finding]:
        from runner.store.sqlite import health

        with clear_errors(self.path):
            yield from health.examine(self.path)

    def now(self) -> float:
        return time.time()

    def wake(self) -> None:
        bell.ring(self._home)

    def listener(self) -> bell.Listener:
        return bell.BoundListener(self._home)

    def close(self) -> None:
        """Nothing is open here."""

    def _read_only(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        return connection
