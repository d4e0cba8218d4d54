"""The statements that our code executes on a database, and how long they take by themselves."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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

    sqlite3.connect = recorded  # type: ignore[assignment]
    try:
        yield statements
    finally:
        sqlite3.connect = connect


def _recording(
    factory: type[sqlite3.Connection], statements: list[Statement]
) -> type[sqlite3.Connection]:
    class Recording(factory):  # type: ignore[valid-type, misc]
        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            statements.append(Statement(sql, parameters, many=False))
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
            rows = list(parameters)
            statements.append(Statement(sql, rows, many=True))
            return super().executemany(sql, rows)

    return Recording


def replay(path: Path, statements: Iterable[Statement]) -> float:
    """Seconds that the statements take on that database, every commit synced to the disk."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA wal_autocheckpoint = 4000")
    wanted = [each for each in statements if not each.sql.startswith(_OF_CONNECTIONS)]
    start = time.perf_counter()
    for each in wanted:
        if each.many:
            database.executemany(each.sql, each.parameters)
        else:
            database.execute(each.sql, each.parameters).fetchall()
    seconds = time.perf_counter() - start
    database.close()
    return seconds
