"""A connection that outlives its server: one writer at a time, and no transaction in doubt."""

import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from runner.errors import EnvironmentMissingError
from runner.store.connection import PATIENCE, UndoneError
from runner.store.postgres.address import Address
from runner.store.postgres.errors import explain, in_doubt, is_undone, unreachable
from runner.store.postgres.link import Link, connect
from runner.store.postgres.text import translated

#: Whoever writes holds this advisory lock until the end of its transaction, as the only one.
WRITER = 0x70697065
_NOTHING: Mapping[str, Any] = {}
_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_TOUCH = "BEGIN; SET LOCAL synchronous_commit = {}"
_WRITE = f"{_TOUCH}; SELECT pg_advisory_xact_lock({WRITER})"
#: Kept with what a transaction writes, so that it can be asked for when COMMIT had no answer.
#: (A transaction's number would not do: after a crash another one may get the same.)
_RECEIPT = """
INSERT INTO receipt (writer, number, at) VALUES (:writer, :number, clock_timestamp())
ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at
"""
_LAST_RECEIPT = "SELECT number FROM receipt WHERE writer = :writer"
#: Not a sequence: that would go on when what used it is undone.
_LAST_ID = "SELECT last FROM last_id WHERE name = :table"
_USE_ID = """
INSERT INTO last_id (name, last) VALUES (:table, :id)
ON CONFLICT (name) DO UPDATE SET last = excluded.last
"""
_FORGET = """
DELETE FROM receipt WHERE writer IN (
    SELECT writer FROM receipt
    WHERE writer = :writer OR at < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED)
"""


class Answer:
    """What a statement found, or how many rows it changed; waits for that when it is asked for."""

    def __init__(
        self, cursor: psycopg.Cursor[dict[str, Any]], pipeline: psycopg.Pipeline | None
    ) -> None:
        self._cursor = cursor
        self._pipeline = pipeline
        self.fetchone = cursor.fetchone
        self.fetchall = cursor.fetchall

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        if self._pipeline:
            self._pipeline.sync()
        return self._cursor.rowcount

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._cursor


class PostgresDatabase:
    """A database inside a transaction. In a pipeline, statements wait for no answer."""

    def __init__(self, link: Link, pipeline: psycopg.Pipeline | None) -> None:
        self._link = link
        self._pipeline = pipeline

    def execute(self, sql: str, values: Mapping[str, Any] = _NOTHING, /) -> Answer:
        """Does one statement, whose values are named as `:name`."""
        return Answer(self._link.execute(translated(sql), values), self._pipeline)

    def dicts(self, sql: str, values: Mapping[str, Any], /) -> list[dict[str, Any]]:
        """All rows that a statement finds: for who reads most of their columns."""
        found: list[dict[str, Any]] = self.execute(sql, values).fetchall()
        return found

    def executemany(self, sql: str, values: Iterable[Mapping[str, Any]], /) -> Answer:
        """Does one statement with each of the values."""
        cursor = self._link.cursor()
        cursor.executemany(translated(sql), values)
        return Answer(cursor, self._pipeline)

    def last_id(self, table: str) -> int:
        """The highest `id` that a row of the table ever had; 0 when it never had one."""
        found = self.execute(_LAST_ID, {"table": table}).fetchone()
        last: int = found["last"] if found else 0
        return last

    def use_id(self, table: str, id_: int) -> None:
        """A row of the table was given this `id`, which is now the highest that it ever had."""
        self.execute(_USE_ID, {"table": table, "id": id_})


class PostgresConnection:
    """A connection that threads share. `durable`: what is committed survives a loss of power.

    When the server is gone, the next transaction connects again.
    """

    def __init__(self, address: Address, *, durable: bool, patience: float = PATIENCE) -> None:
        """Connects when it is needed first. `patience`: seconds to wait for the server."""
        self._address = address
        self._patience = patience
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._was_there = False
        self._writer = secrets.token_hex(8)
        self._number = 0
        setting = "on" if durable else "off"
        self._touch = _TOUCH.format(setting).encode()
        self._write = _WRITE.format(setting).encode()

    @contextmanager
    def reading(self) -> Iterator[PostgresDatabase]:
        """One view of the data for several statements, whatever others write meanwhile."""
        with self._transaction(_READ) as database:
            yield database

    @contextmanager
    def writing(self) -> Iterator[PostgresDatabase]:
        """A transaction that is the only writer from its first statement on; an error undoes it."""
        with self._lock, self._clear_errors():
            link = self._begun(self._write)
            is_committed = False
            try:
                # What is not asked for an answer is sent with what comes next.
                with link.pipeline() as pipeline:
                    yield PostgresDatabase(link, pipeline)
                    is_committed = True
                    self._commit(link)
            except BaseException as error:
                if not (is_committed and self._was_kept(error)):
                    self._undo()
                    raise

    @contextmanager
    def touching(self) -> Iterator[PostgresDatabase]:
        """For one statement that changes one row, and may do so twice: others may write meanwhile."""
        with self._transaction(self._touch) as database:
            yield database

    def close(self) -> None:
        """Closing twice is harmless."""
        with self._lock:
            if self._link and self._number:
                with suppress(psycopg.Error):
                    self._link.execute(translated(_FORGET), {"writer": self._writer})
            self._drop()

    @contextmanager
    def _transaction(self, begin: bytes) -> Iterator[PostgresDatabase]:
        with self._lock, self._clear_errors():
            link = self._begun(begin)
            try:
                yield PostgresDatabase(link, None)
                link.execute(b"COMMIT", prepare=False)
            except BaseException:
                self._undo()
                raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turns what is the server's trouble into EnvironmentMissingError; our own bugs stay."""
        try:
            yield
        except psycopg.Error as error:
            explained = explain(self._address, error)
            if explained is None:
                raise
            raise explained from error

    def _begun(self, begin: bytes) -> Link:
        """Nothing was done yet, so it can be begun on another connection if this one is gone."""
        deadline = time.monotonic() + self._patience
        while True:
            link = self._connected(max(0.0, deadline - time.monotonic()))
            try:
                # As one message: it is answered at once.
                link.execute(begin, prepare=False)
                return link
            except psycopg.Error as error:
                self._undo()
                if not is_undone(error) or time.monotonic() > deadline:
                    raise

    def _connected(self, patience: float) -> Link:
        if self._link is None:
            self._link = connect(self._address, patience, was_there=self._was_there)
            self._was_there = True
        return self._link

    def _commit(self, link: Link) -> None:
        """Sends that after all that waits to be sent; what is answered shows later."""
        self._number += 1
        link.execute(translated(_RECEIPT), {"writer": self._writer, "number": self._number})
        link.execute(b"COMMIT", prepare=False)

    def _was_kept(self, error: BaseException) -> bool:
        """Whether there was an error in nothing but the answer."""
        return isinstance(error, psycopg.Error) and is_undone(error) and self._has_receipt()

    def _has_receipt(self) -> bool:
        """Whether the server kept what it was told to before the connection was lost."""
        self._drop()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                # Whoever gets the lock knows that the transaction has ended.
                link = self._begun(self._write)
                found = link.execute(translated(_LAST_RECEIPT), {"writer": self._writer}).fetchone()
                self._undo()
                return found is not None and found["number"] == self._number
            except psycopg.OperationalError as error:
                self._drop()
                if time.monotonic() > deadline:
                    raise in_doubt(self._address, unreachable(self._address, error)) from error
            except UndoneError:
                raise
            except EnvironmentMissingError as error:
                raise in_doubt(self._address, error) from error

    def _undo(self) -> None:
        link = self._link
        if link is None:
            return
        with suppress(psycopg.Error):
            if not link.closed:
                link.execute(b"ROLLBACK", prepare=False)
        if link.closed or link.info.transaction_status != TransactionStatus.IDLE:
            self._drop()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link:
            link.close()
