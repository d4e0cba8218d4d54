"""How a new or an older file gets the tables of this version."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from runner.errors import EnvironmentMissingError
from runner.store.schema import SCHEMA, SCHEMA_VERSION, newer, upgrade
from runner.store.sqlite.checkpoints import NO_CHECKPOINTS
from runner.store.sqlite.connection import (
    SqliteConnection,
    clear_errors,
    explain,
    patiently,
)

_WAIT = 60.0


def ensure(path: Path) -> None:
    """Makes the database at `path` have the tables of this version.

    Raises EnvironmentMissingError when it cannot be used or belongs to a newer version.
    """
    version = _version(path)
    if version > SCHEMA_VERSION:
        raise newer(str(path), version, "set PIPE_HOME to another folder")
    if version < SCHEMA_VERSION and not _create(path):
        _migrate(path)


def _version(path: Path) -> int:
    """The version of the tables in the file; 0 for an empty one."""
    connection = SqliteConnection(path, durable=False)
    try:
        with connection.reading() as database:
            return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def _create(path: Path) -> bool:
    """Makes all tables in one transaction if there are none; False when there are older ones.

    Importing Alembic takes longer than all else that the first run of a home does.
    """
    with clear_errors(path), closing(_connect(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        if not database.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()[0]:
            # Not as a script: that would commit before its first statement.
            for statement in SCHEMA.read_text("utf-8").split(";"):
                database.execute(statement)
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute("COMMIT")
    return bool(version == SCHEMA_VERSION)


def _migrate(path: Path) -> None:
    """In one transaction; of several processes that come at once, the first does it."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
    try:
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            if connection.exec_driver_sql("PRAGMA user_version").scalar() != SCHEMA_VERSION:
                upgrade(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except DBAPIError as error:
        raise explain(path, error.orig) or _unusable(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    # Of two that do this at once, SQLite lets one fail instead of wait.
    patiently(_use_wal, connection, time.monotonic() + _WAIT)
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA {NO_CHECKPOINTS}")


def _unusable(path: Path, error: Exception) -> EnvironmentMissingError:
    return EnvironmentMissingError(
        f"the tables of the database {path} cannot be brought up to date ({error})",
        hint="set PIPE_HOME to another folder, or move the file away",
    )
