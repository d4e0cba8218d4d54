"""The tables on a PostgreSQL server, which workers of several machines share."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from runner.errors import EnvironmentMissingError
from runner.store import bell
from runner.store.finding import Finding
from runner.store.postgres import schema
from runner.store.postgres.address import Address
from runner.store.postgres.clock import Clock
from runner.store.postgres.connection import PostgresConnection
from runner.store.postgres.errors import explain, unreachable
from runner.store.postgres.herald import Herald, ServerListener

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["PostgresConnection", "PostgresServer"]


class PostgresServer:
    """The database that a URL names. `home` is where processes of this machine wake each other."""

    def __init__(self, home: Path, url: str) -> None:
        """Raises InvalidInputError."""
        self._home = home
        self._address = Address(url)
        self._notes = PostgresConnection(self._address, durable=False)
        self._clock = Clock(self._notes)
        self._herald = Herald(self._notes, home)

    def __str__(self) -> str:
        return str(self._address)

    def open(self) -> tuple[PostgresConnection, PostgresConnection]:
        """Creates what is absent, migrates what is older. Raises EnvironmentMissingError."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            schema.ensure(self._notes, self._address)
        except BaseException:
            self._notes.close()
            raise
        return PostgresConnection(self._address, durable=True), self._notes

    def engine(self) -> "Engine":
        from runner.store.postgres.engine import reading_engine

        return reading_engine(self._address)

    def explained(self, error: BaseException | None) -> EnvironmentMissingError | None:
        return explain(self._address, error)

    def examine(self) -> Iterator[Finding]:
        from runner.store.postgres import health

        try:
            yield from health.examine(self._address, self._notes, self.now())
        except psycopg.Error as error:
            raise self.explained(error) or unreachable(self._address, error) from error

    def now(self) -> float:
        return self._clock.now(time.monotonic())

    def wake(self) -> None:
        bell.ring(self._home)
        self._herald.tell()

    def listener(self) -> bell.Listener:
        return ServerListener(self._home, self._address)

    def close(self) -> None:
        """Whoever was to be woken is told first."""
        self._herald.close()
