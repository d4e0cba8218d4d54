"""Several threads wait for news on the same line: one listens, and the others hear of it."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Waker:
    """Ends a wait that it is registered for, with `selectors`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        return self._read

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\n")

    def calm(self) -> None:
        """Forget that it was woken."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 1 << 10)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Turns:
    """Whoever comes first listens for all, so that a single one waits for nobody.

    `wake` ends the wait of the one that listens, if it can be ended.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        self._listening = threading.RLock()
        self._news = threading.Condition()
        self._heard = 0
        self._demanding = 0

    def wait(self, listen: Callable[[], None], timeout: float) -> None:
        """Return after something came, at the latest after `timeout` seconds.

        `listen` takes what comes, within that time; other threads' news count as well.
        """
        heard = self._heard
        if not self._demanding and self._listening.acquire(blocking=False):
            try:
                listen()
            finally:
                self._release()
            return
        with self._news:
            if heard == self._heard:
                self._news.wait(timeout)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else listens meanwhile; those who do soon give way."""
        with self._news:
            self._demanding += 1
        try:
            if not self._listening.acquire(blocking=False):
                self._wake()
                self._listening.acquire()
        finally:
            with self._news:
                self._demanding -= 1
        try:
            yield
        finally:
            self._release()

    def _release(self) -> None:
        self._listening.release()
        with self._news:
            self._heard += 1
            self._news.notify_all()
