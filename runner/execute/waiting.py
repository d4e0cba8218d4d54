"""Waiting for a call of an engine that cannot be ended, no longer than somebody wants what it gives."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runner.engines.box import EngineError, Stop

T = TypeVar("T")

#: Seconds between looks at the stop.
TICK = 0.1


def wait_for(do: Callable[[], T], what: str, stop: Stop) -> T:
    """What `do` gives, or raises. Raises EngineError when `stop` ends the wait; what goes on then
    ends with the program."""
    call = _Call(do)
    call.start()
    while not call.ended.wait(TICK):
        if reason := stop.reason():
            raise EngineError(reason, f"{what} was stopped: {reason}")
    if call.error is not None:
        raise call.error
    return call.results[0]


@dataclass(slots=True)
class _Call(Generic[T]):
    do: Callable[[], T]
    ended: threading.Event = field(default_factory=threading.Event)
    results: list[T] = field(default_factory=list)
    error: BaseException | None = None

    def start(self) -> None:
        threading.Thread(target=self._work, name="pipe-wait", daemon=True).start()

    def _work(self) -> None:
        try:
            self.results.append(self.do())
        except BaseException as error:
            # Raised again by the one who waits.
            self.error = error
        finally:
            self.ended.set()
