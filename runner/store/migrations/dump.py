"""Writes `schema.sql` from the migrations: `python -m runner.store.migrations.dump`."""

from sqlalchemy import Connection, create_engine

from runner.store import schema

_HEAD = "-- New databases are made from this. `python -m runner.store.migrations.dump` writes it."
_TABLES_AND_INDEXES = """
SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid
"""
_LIMITS = """
SELECT printf(
    'INSERT INTO scope (kind, name, maximum, refuses, paused, running, day, started) '
    || 'VALUES (%Q, %Q, %d, false, false, 0, %Q, 0)', kind, name, maximum, day) FROM scope
"""


def render() -> str:
    """The statements that do to an empty database what all migrations do."""
    with create_engine("sqlite://").connect() as connection:
        schema.upgrade(connection)
        statements = [
            *_definitions(connection),
            *connection.exec_driver_sql(_LIMITS).scalars(),
            *_versions(connection),
        ]
    return "\n\n".join([_HEAD, *(f"{statement};" for statement in statements)]) + "\n"


def _definitions(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql(_TABLES_AND_INDEXES).scalars()
    return ["\n".join(line.rstrip() for line in sql.expandtabs(4).splitlines()) for sql in found]


def _versions(connection: Connection) -> tuple[str, str]:
    """For Alembic, which asks its own table, and for us."""
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return (
        f"INSERT INTO alembic_version (version_num) VALUES ('{revision}')",
        f"PRAGMA user_version = {schema.SCHEMA_VERSION}",
    )


if __name__ == "__main__":
    schema.SCHEMA.write_text(render(), encoding="utf-8")
