"""The version of the tables, and how an older database gets there."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import EnvironmentMissingError
from runner.store.connection import Connection, explain

if TYPE_CHECKING:
    import sqlalchemy

#: The newest migration. A database that has it is opened without importing Alembic.
SCHEMA_VERSION = 1
MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_WAIT = 60.0


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
    if version < SCHEMA_VERSION:
        _migrate(path)


def _version(path: Path) -> int:
    """The version of the tables in the file; 0 for an empty one."""
    connection = Connection(path, durable=False)
    try:
        with connection.reading() as database:
            return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


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
                _upgrade(connection)
    except DBAPIError as error:
        raise explain(path, error.orig) or _unusable(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_MIGRATION_WAIT, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


def _upgrade(connection: "sqlalchemy.Connection") -> None:
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
