"""The statements that our code executes on a database, and how long they take by themselves."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Settings of a connection, and checkpoints, which another one does than the one that writes.
_OF_CONNECTIONS = ("PRAGMA synch", "PRAGMA wal_")


@dataclass(frozen=True, slots=True)
class Statement:
    """One call; of `executemany` the parameters are a list."""

    sql: str
    parameters: Any
    many: bool


@contextmanager
def recording() -> Iterator[list[Statement]]:
    """What every connection that is opened meanwhile executes, in order."""
    statements: list[Statement] = []
    connect = sqlite3.connect

    def recorded(
        *args: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: Any
    ) -> sqlite3.Connection:
        return connect(*args, factory=_recording(factory, statements), **options)

    # All that opens a connection finds it there.
    sqlite3.connect = recorded  # type: ignore[assignment]
    try:
        yield statements
    finally:
        sqlite3.connect = connect


def _recording(
    factory: type[sqlite3.Connection], statements: list[Statement]
) -> type[sqlite3.Connection]:
    # What it stands on is known only as it runs, which types cannot say.
    class Recording(factory):  # type: ignore[valid-type, misc]
        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            statements.append(Statement(sql, parameters, many=False))
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
            rows = list(parameters)
            statements.append(Statement(sql, rows, many=True))
            return super().executemany(sql, rows)

    return Recording


@contextmanager
def replaying(path: Path) -> Iterator[Callable[[Sequence[Statement]], None]]:
    """Does statements on that database; every commit is synced to the disk."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA wal_autocheckpoint = 4000")

    def replay(statements: Sequence[Statement]) -> None:
        for each in statements:
            if each.sql.startswith(_OF_CONNECTIONS):
                continue
            if each.many:
                database.executemany(each.sql, each.parameters)
            else:
                database.execute(each.sql, each.parameters).fetchall()

    with closing(database):
        yield replay
