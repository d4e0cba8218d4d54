"""What the store needs of a database, whichever it is, and how a transaction is done again."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from runner.errors import EnvironmentMissingError

Given = ParamSpec("Given")
Found = TypeVar("Found")

#: A row is read by the names of its columns: `row["x"]`, `dict(row)`.
Row = Mapping[str, Any]
#: Seconds to wait for other writers, and for a server that restarts.
PATIENCE = 30.0


class UndoneError(EnvironmentMissingError):
    """The database undid a transaction, whatever was done in it: it may be done again."""


class Cursor(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row; None when there is none."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """A database inside a transaction. Values are named in SQL, as `:name`; truth is a bool."""

    def execute(self, sql: str, values: Mapping[str, Any] = ..., /) -> Cursor:
        """Does one statement."""

    def dicts(self, sql: str, values: Mapping[str, Any], /) -> list[dict[str, Any]]:
        """All rows that a statement finds: for who reads most of their columns."""

    def executemany(self, sql: str, values: Iterable[Mapping[str, Any]], /) -> Cursor:
        """Does one statement with each of the values."""

    def last_id(self, table: str) -> int:
        """The highest `id` that a row of the table ever had; 0 when it never had one."""

    def use_id(self, table: str, id_: int) -> None:
        """A row of the table was given this `id`, which is now the highest that it ever had."""


class Connection(Protocol):
    """A connection that threads share; a transaction waits for the one before it."""

    def reading(self) -> AbstractContextManager[Database]:
        """One view of the data for several statements, whatever others write meanwhile."""

    def writing(self) -> AbstractContextManager[Database]:
        """A transaction that is the only writer from its first statement on; an error undoes it."""

    def touching(self) -> AbstractContextManager[Database]:
        """For one statement that changes one row, and may do so twice: others may write meanwhile."""

    def close(self) -> None:
        """Closing twice is harmless."""


def whole(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """For a function that writes in at most one transaction: done again when that was undone."""

    @wraps(function)
    def again(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        deadline = None
        while True:
            try:
                return function(*args, **kwargs)
            except UndoneError:
                deadline = deadline or time.monotonic() + PATIENCE
                if time.monotonic() > deadline:
                    raise

    return again
