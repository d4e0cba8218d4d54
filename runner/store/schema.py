"""The version of the tables, and how a new or an older database gets there."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import EnvironmentMissingError
from runner.store.connection import Connection, clear_errors, explain, patiently

if TYPE_CHECKING:
    import sqlalchemy

#: The newest migration. A database that has it is opened without importing Alembic.
SCHEMA_VERSION = 4
MIGRATIONS = Path(__file__).parent / "migrations"
#: What all migrations together make of an empty database; `migrations/dump.py` writes it.
SCHEMA = Path(__file__).parent / "schema.sql"
_WAIT = 60.0


def ensure(path: Path) -> None:
    """Makes the database at `path` have the tables of this version.

    Raises EnvironmentMissingError when it cannot be used or belongs to a newer version.
    """
    version = _version(path)
    if version > SCHEMA_VERSION:
        raise EnvironmentMissingError(
            f"the database {path} was written by a newer version"
            f" (its tables are of version {version}, this one knows {SCHEMA_VERSION})",
            hint="update pipe, or set PIPE_HOME to another folder",
        )
    if version < SCHEMA_VERSION and not _create(path):
        _migrate(path)


def _version(path: Path) -> int:
    """The version of the tables in the file; 0 for an empty one."""
    connection = Connection(path, durable=False)
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
    except DBAPIError as error:
        raise explain(path, error.orig) or _unusable(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    # Of two that do this at once, SQLite lets one fail instead of wait.
    patiently(_use_wal, connection, time.monotonic() + _WAIT)
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")


def upgrade(connection: "sqlalchemy.Connection") -> None:
    """Runs the migrations that the database lacks, in the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _unusable(path: Path, error: Exception) -> EnvironmentMissingError:
    return EnvironmentMissingError(
        f"the tables of the database {path} cannot be brought up to date ({error})",
        hint="set PIPE_HOME to another folder, or move the file away",
    )
