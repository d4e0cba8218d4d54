"""The server's clock, as this process knows it without asking each time."""

import time
from contextlib import suppress

from runner.errors import EnvironmentMissingError
from runner.store.connection import whole
from runner.store.postgres.connection import PostgresConnection

#: Seconds for which this machine's clock counts on from what the server said.
_REFRESH = 60.0
_ASK = "SELECT extract(epoch FROM clock_timestamp())::float8 AS moment"


class Clock:
    """Leases of several machines are compared, so one clock counts for all."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._offset = 0.0
        self._refresh_at = float("-inf")

    def now(self, monotonic: float) -> float:
        """The server's time, in seconds since the epoch. Raises EnvironmentMissingError at first."""
        if monotonic >= self._refresh_at:
            self._refresh()
        return time.monotonic() + self._offset

    def _refresh(self) -> None:
        if self._refresh_at == float("-inf"):
            self._offset = self._measured()
        else:
            # A server that is away has no other time.
            with suppress(EnvironmentMissingError):
                self._offset = self._measured()
        self._refresh_at = time.monotonic() + _REFRESH

    @whole
    def _measured(self) -> float:
        with self._connection.reading() as database:
            before = time.monotonic()
            [row] = database.execute(_ASK).fetchall()
            return float(row["moment"]) - (before + time.monotonic()) / 2
