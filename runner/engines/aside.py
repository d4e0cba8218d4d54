"""Work in a thread of its own, and its outcome for whoever asks."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Begins at once; nothing waits for its thread at the end of the program."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._outcome: list[T] = []
        self._failure: BaseException | None = None
        self._over = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:
            self._failure = error  # raised where the outcome is asked for
        finally:
            self._over.set()

    def is_over(self) -> bool:
        return self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it was over in that time."""
        return self._over.wait(seconds)

    def result(self) -> T:
        """Wait for it. Raises what the work raised."""
        self._over.wait()
        if self._failure:
            raise self._failure
        return self._outcome[0]
