"""Several threads wait for news on the same line: one listens, and the others hear of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """Whoever comes first listens for all, so that a single one waits for nobody."""

    def __init__(self) -> None:
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
