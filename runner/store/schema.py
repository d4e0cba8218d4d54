"""The version of the tables, and the migrations that lead to it."""

from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import EnvironmentMissingError

if TYPE_CHECKING:
    import sqlalchemy

#: The newest migration. A database that has it is opened without importing Alembic.
SCHEMA_VERSION = 5
MIGRATIONS = Path(__file__).parent / "migrations"
#: What all migrations together make of an empty SQLite file; `migrations/dump.py` writes it.
SCHEMA = Path(__file__).parent / "schema.sql"


def upgrade(connection: "sqlalchemy.Connection") -> None:
    """Runs the migrations that the database lacks, in the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")


def newer(database: str, version: int, hint: str) -> EnvironmentMissingError:
    """The database was written by a version of ours that comes after this one."""
    return EnvironmentMissingError(
        f"the database {database} was written by a newer version"
        f" (its tables are of version {version}, this one knows {SCHEMA_VERSION})",
        hint=f"update pipe, or {hint}",
    )
