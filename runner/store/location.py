"""Where the tables are: a file in a folder of this machine, or a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.store.bell import Listener
from runner.store.connection import Connection
from runner.store.finding import Finding
from runner.store.sqlite import SqliteFile

if TYPE_CHECKING:
    from sqlalchemy import Engine

_POSTGRES = ("postgresql", "postgres")


class Location(Protocol):
    """A place for the tables; `str` of it names it to people, without a password."""

    def open(self) -> tuple[Connection, Connection]:
        """Sees to it that the tables are there and of this version.

        Returns a connection whose transactions survive a loss of power, and one whose may not.
        """

    def engine(self) -> "Engine":
        """For reading through SQLModel alone: it refuses to write."""

    def explained(self, error: BaseException | None) -> EnvironmentMissingError | None:
        """What the user can do about an error of the database; None when it is a bug of ours."""

    def examine(self) -> Iterator[Finding]:
        """Looks whether all is well with it, and writes nothing. Raises EnvironmentMissingError."""

    def now(self) -> float:
        """The time that all who share the tables go by, in seconds since the epoch."""

    def wake(self) -> None:
        """Rings at all who listen; does not wait."""

    def listener(self) -> Listener:
        """What `wake` rings at, until it is closed."""

    def close(self) -> None:
        """Closing twice is harmless."""


def location(home: Path, url: str) -> Location:
    """The server that `url` names, or a file in the folder `home`. Raises InvalidInputError."""
    if not url:
        return SqliteFile(home)
    scheme = url.partition(":")[0]
    if scheme not in _POSTGRES:
        raise InvalidInputError(
            f"PIPE_DATABASE_URL: `{scheme}` is not a database that pipe knows",
            hint="postgresql://user@host/database; without it, tables are kept in PIPE_HOME",
        )
    return _server(home, url)


def _server(home: Path, url: str) -> Location:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise EnvironmentMissingError(
            f"PIPE_DATABASE_URL needs a driver for PostgreSQL ({error})",
            hint="pip install 'pipe-runner[postgres]'",
        ) from error
    from runner.store.postgres import PostgresServer

    return PostgresServer(home, url)
