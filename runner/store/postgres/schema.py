"""How a new or an older database on a server gets the tables of this version."""

from collections import defaultdict
from typing import TYPE_CHECKING

import psycopg

from runner.errors import EnvironmentMissingError
from runner.store.connection import whole
from runner.store.postgres.address import Address
from runner.store.postgres.connection import WRITER, PostgresConnection
from runner.store.postgres.errors import explain
from runner.store.schema import SCHEMA_VERSION, newer, upgrade

if TYPE_CHECKING:
    import sqlalchemy

_IS_THERE = "SELECT to_regclass('alembic_version') IS NOT NULL AS found"
_VERSION = "SELECT version_num FROM alembic_version"
#: What only this database needs; `PostgresDatabase` and `PostgresConnection` say what for.
_OWN_TABLES = """
CREATE TABLE IF NOT EXISTS last_id (name varchar PRIMARY KEY, last integer NOT NULL);
CREATE TABLE IF NOT EXISTS receipt (
    writer varchar PRIMARY KEY, number bigint NOT NULL, at timestamptz NOT NULL
)
"""
#: Rows that change often: there is room for their next versions, and old ones are cleared away soon.
_OFTEN_CHANGED = ("run", "job", "scope", "turn", "worker", "receipt", "last_id")
_ROOM = "SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)"
#: Text that is compared as in any language: ours is compared byte by byte, as in SQLite.
_COMPARED_OTHERWISE = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type = 'character varying'
  AND collation_name IS NULL ORDER BY table_name, ordinal_position
"""


def ensure(connection: PostgresConnection, address: Address) -> None:
    """Makes the database have the tables of this version.

    Raises EnvironmentMissingError when it cannot be used or belongs to a newer version.
    """
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise newer(str(address), version, "set PIPE_DATABASE_URL to another database")
    if version < SCHEMA_VERSION:
        _migrate(address)


@whole
def _version(connection: PostgresConnection) -> int:
    """The version of the tables; 0 when there are none."""
    with connection.reading() as database:
        if not database.execute(_IS_THERE).fetchall()[0]["found"]:
            return 0
        return max((int(row["version_num"]) for row in database.execute(_VERSION)), default=0)


def _migrate(address: Address) -> None:
    """In one transaction; of several processes that come at once, the first does it."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(address.conninfo),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    try:
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
            upgrade(connection)
            connection.exec_driver_sql(_OWN_TABLES)
            _compare_bytes(connection)
            for table in _OFTEN_CHANGED:
                connection.exec_driver_sql(f"ALTER TABLE {table} {_ROOM}")
    except DBAPIError as error:
        raise explain(address, error.orig) or _unusable(address, error) from error


def _compare_bytes(connection: "sqlalchemy.Connection") -> None:
    changes = defaultdict(list)
    for table, column in connection.exec_driver_sql(_COMPARED_OTHERWISE):
        changes[table].append(f'ALTER COLUMN "{column}" TYPE varchar COLLATE "C"')
    for table, columns in changes.items():
        connection.exec_driver_sql(f'ALTER TABLE "{table}" {", ".join(columns)}')


def _unusable(address: Address, error: Exception) -> EnvironmentMissingError:
    return EnvironmentMissingError(
        f"the tables of the database {address} cannot be brought up to date ({error})",
        hint="set PIPE_DATABASE_URL to another database",
    )
