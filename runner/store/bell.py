"""Who waits for work on this machine is woken by a datagram, sent after the commit that made some."""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

_FOLDER = "wake"
_BLOCK = 64


class Listener(Protocol):
    """Readable, as `fileno` shows, from when somebody rang until `calm` is called."""

    def fileno(self) -> int:
        """For a selector."""

    def calm(self) -> None:
        """Take in all that rang so far."""

    def ring(self) -> None:
        """Ring at this listener alone; safe in a signal handler and in any thread."""

    def close(self) -> None:
        """Nobody can ring here any more."""


class BoundListener:
    """A listener that processes of this machine ring at."""

    def __init__(self, home: Path) -> None:
        self._folder = home / _FOLDER
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with _short(self._folder) as folder:
            self._socket.bind(f"{folder}/{self._name}")

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def calm(self) -> None:
        """Take in all that rang so far."""
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(_BLOCK):
                pass

    def ring(self) -> None:
        """Ring at this listener alone; safe in a signal handler and in any thread."""
        with _short(self._folder) as folder:
            _ring(self._socket, f"{folder}/{self._name}")

    def close(self) -> None:
        """Nobody can ring here any more."""
        self._socket.close()
        (self._folder / self._name).unlink(missing_ok=True)


def ring(home: Path) -> None:
    """Wakes every process of this machine that listens; does not wait, and never fails."""
    # What was committed is so, whether anybody hears of it now or looks for it later.
    with contextlib.suppress(OSError):
        with os.scandir(f"{home}/{_FOLDER}") as found:
            names = [each.name for each in found]
        if not names:
            return
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with sender, _short(home / _FOLDER) as folder:
            for name in names:
                if not _ring(sender, f"{folder}/{name}"):
                    (home / _FOLDER / name).unlink(missing_ok=True)


def _ring(sender: socket.socket, address: str) -> bool:
    """False when the listener is gone without having said so."""
    try:
        sender.sendto(b"!", address)
    except ConnectionRefusedError:
        return False
    except OSError:
        # Its buffer is full, so it will wake up anyway; or it has just gone.
        return True
    return True


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Another path of the folder: an address holds only about a hundred bytes."""
    links = Path("/proc/self/fd")
    if not links.exists():
        yield str(folder)
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(links / str(opened))
    finally:
        os.close(opened)
