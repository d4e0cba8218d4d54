"""One SQLite connection: a lock, short transactions, patience with other writers, clear errors."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from runner.errors import EnvironmentMissingError
from runner.store.connection import PATIENCE
from runner.store.sqlite.checkpoints import NO_CHECKPOINTS, Checkpoints

_MOVE_AWAY = "move the file away to start with an empty one; logs are kept apart from it"
_EXPLANATIONS = {
    sqlite3.SQLITE_BUSY: ("is locked", "another process holds it; end that one and try again"),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "free some space, or set PIPE_HOME"),
    sqlite3.SQLITE_READONLY: ("is read-only", "make it and its folder writable, or set PIPE_HOME"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "make its folder writable, or set PIPE_HOME"),
    sqlite3.SQLITE_PERM: ("may not be opened", "make it readable, or set PIPE_HOME"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "check the disk that it is on"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _MOVE_AWAY),
    sqlite3.SQLITE_NOTADB: ("is not a database", _MOVE_AWAY),
}
#: Seconds; whoever commits next tries it as well.
_PATIENCE_FOR_CHECKPOINTS = 0.05
_LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = :table"


class SqliteDatabase(sqlite3.Connection):
    """SQLite's own connection, and what a transaction needs beside it."""

    def dicts(self, sql: str, values: Mapping[str, Any], /) -> list[dict[str, Any]]:
        """All rows that a statement finds: for who reads most of their columns."""
        # SQLite's rows look for a name in all columns, each time.
        return [dict(zip(row.keys(), row, strict=True)) for row in self.execute(sql, values)]

    def last_id(self, table: str) -> int:
        """The highest `id` that a row of the table ever had; 0 when it never had one."""
        found = self.execute(_LAST_ID, {"table": table}).fetchone()
        return found["seq"] if found else 0

    def use_id(self, table: str, id_: int) -> None:
        """SQLite notes the highest `id` by itself."""


class SqliteConnection:
    """A connection that threads share. `durable`: what is committed survives a loss of power."""

    def __init__(self, path: Path, *, durable: bool, patience: float = PATIENCE) -> None:
        """Raises EnvironmentMissingError when the file cannot be used, as every transaction does.

        `patience`: seconds to wait for other writers.
        """
        self._path = path
        self._patience = patience
        self._lock = threading.Lock()
        self._checkpoints = Checkpoints(path)
        with clear_errors(path):
            self._sqlite = sqlite3.connect(
                path,
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
                factory=SqliteDatabase,
            )
            self._sqlite.row_factory = sqlite3.Row
            # Even setting pragmas is refused while another process makes the file.
            patiently(partial(_configure, durable), self._sqlite, time.monotonic() + patience)

    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        """One view of the data for several statements, whatever others write meanwhile."""
        with self._transaction(_begin_reading) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[SqliteDatabase]:
        """A transaction that is the only writer from its first statement on; an error undoes it."""
        with self._transaction(_begin_writing) as connection:
            yield connection
        if self._checkpoints.are_due():
            self._checkpoint()

    #: Nobody writes beside another one here.
    touching = writing

    def close(self) -> None:
        """Closing twice is harmless."""
        with self._lock:
            self._sqlite.close()

    @contextmanager
    def _transaction(self, begin: Callable[[sqlite3.Connection], None]) -> Iterator[SqliteDatabase]:
        with self._lock, clear_errors(self._path):
            patiently(begin, self._sqlite, time.monotonic() + self._patience)
            try:
                yield self._sqlite
                self._sqlite.execute("COMMIT")
            except BaseException:
                _undo(self._sqlite)
                raise

    def _checkpoint(self) -> None:
        """What keeps it from that, the next transaction meets; this one is done."""
        with self._lock, suppress(sqlite3.Error):
            patiently(_begin_writing, self._sqlite, time.monotonic() + _PATIENCE_FOR_CHECKPOINTS)
            try:
                self._checkpoints.do()
            finally:
                _undo(self._sqlite)


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite says about the file into EnvironmentMissingError; our own bugs stay."""
    try:
        yield
    except sqlite3.Error as error:
        explained = explain(path, error)
        if explained is None:
            raise
        raise explained from error


def explain(path: Path, error: BaseException | None) -> EnvironmentMissingError | None:
    """What the user can do about an error of SQLite; None when it is a bug of ours."""
    explanation = _EXPLANATIONS.get(getattr(error, "sqlite_errorcode", -1) & 0xFF)
    if explanation is None:
        return None
    message, hint = explanation
    return EnvironmentMissingError(f"the database {path} {message} ({error})", hint=hint)


def _configure(durable: bool, connection: sqlite3.Connection) -> None:
    for pragma in (
        "foreign_keys = ON",
        "temp_store = MEMORY",
        f"synchronous = {'FULL' if durable else 'NORMAL'}",
        NO_CHECKPOINTS,
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_writing(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def _begin_reading(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    # Only the first read takes the view; it is refused while another process recovers the file.
    connection.execute("PRAGMA schema_version").fetchone()


def patiently(
    begin: Callable[[sqlite3.Connection], None], connection: sqlite3.Connection, deadline: float
) -> None:
    """Does `begin` as soon as other connections allow it, until `deadline` (monotonic seconds)."""
    # SQLite's own waiting lets old waiters lose to new ones; short random pauses are fair.
    while True:
        try:
            return begin(connection)
        except sqlite3.OperationalError as error:
            _undo(connection)
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.0001, 0.0006))


def _undo(connection: sqlite3.Connection) -> None:
    # SQLite has undone it already after some errors, a full disk among them.
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
