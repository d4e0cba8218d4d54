"""Who waits for work on another machine is woken by NOTIFY, which costs all who write: not often."""

import os
import select
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg

from runner.errors import EnvironmentMissingError
from runner.store.bell import BoundListener
from runner.store.postgres.address import Address
from runner.store.postgres.connection import PostgresConnection
from runner.store.postgres.link import opened
from runner.store.process import machine

_CHANNEL = "pipe"
_NOTIFY = "SELECT pg_notify(:channel, :sender)"
#: Seconds between two of one process, however often it is told to.
_PAUSE = 0.005
#: Seconds until a listener whose connection was lost tries again.
_RETRY = 2.0


def _sender(home: Path) -> str:
    """All who share a home on this machine: these wake each other without the server."""
    found = home.stat()
    return f"{machine()} {found.st_dev}:{found.st_ino}"


class Herald:
    """Sends what was asked for a moment ago, from a thread of its own."""

    def __init__(self, connection: PostgresConnection, home: Path) -> None:
        self._connection = connection
        self._home = home
        self._changed = threading.Condition()
        self._is_wanted = False
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def tell(self) -> None:
        """Wakes those on other machines soon; does not wait."""
        with self._changed:
            self._is_wanted = True
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="herald", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """What was asked for is sent first. Closing twice is harmless."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()

    def _send(self) -> None:
        values = {"channel": _CHANNEL, "sender": _sender(self._home)}
        while self._has_to():
            # Nobody depends on being woken: they look from time to time.
            with (
                suppress(EnvironmentMissingError, psycopg.Error),
                self._connection.touching() as database,
            ):
                database.execute(_NOTIFY, values)
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing, _PAUSE)

    def _has_to(self) -> bool:
        """Whether there is something to send, as soon as there is; False when there never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_wanted or self._is_closing)
            is_wanted, self._is_wanted = self._is_wanted, False
            return is_wanted


def _senders(link: psycopg.Connection[dict[str, object]]) -> Iterator[bytes]:
    """Who has sent the messages that are there; psycopg's own way to ask costs much more."""
    link.pgconn.consume_input()
    while message := link.pgconn.notifies():
        yield message.extra


class ServerListener(BoundListener):
    """Hears processes of this machine as they ring, and those of others through the server.

    Where the server's messages cannot be had, as behind some poolers, it hears this machine alone.
    """

    def __init__(self, home: Path, address: Address) -> None:
        super().__init__(home)
        self._sender = _sender(home)
        self._address = address
        self._reads, self._writes = os.pipe()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody can ring here any more."""
        if self._thread.is_alive():
            os.write(self._writes, b"!")
            self._thread.join()
            os.close(self._reads)
            os.close(self._writes)
        super().close()

    def _listen(self) -> None:
        is_open = True
        while is_open:
            try:
                with opened(self._address) as link:
                    link.execute(f"LISTEN {_CHANNEL}".encode())
                    is_open = self._forward(link)
            except (psycopg.Error, EnvironmentMissingError):
                is_open = not self._is_closed(_RETRY)

    def _forward(self, link: psycopg.Connection[dict[str, object]]) -> bool:
        """Rings for each message until the listener is closed; returns False then."""
        # Something may have happened before the server listened for us.
        self.ring()
        while not self._is_closed(None, link.fileno()):
            if any(sender != self._sender.encode() for sender in _senders(link)):
                self.ring()
        return False

    def _is_closed(self, seconds: float | None, *others: int) -> bool:
        """Whether it is closed, as soon as that or something of the others is known."""
        ready, _, _ = select.select([self._reads, *others], [], [], seconds)
        return self._reads in ready
