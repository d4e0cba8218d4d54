"""When asking has to end, whatever the other side does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from runner.plugin import DeliveryCall

Found = TypeVar("Found")
#: What is left of a call's time to put its answer together.
MARGIN = 0.1
#: How soon somebody who waits for the end is noticed.
BLINK = 0.2


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time of `time.monotonic()`, and whether to end before it."""

    at: float
    cancelled: Callable[[], bool] = lambda: False

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self.at - time.monotonic()
        if left <= 0 or self.cancelled():
            raise TimeoutError
        return left


def deadline_of(call: "DeliveryCall", seconds: float | None = None) -> Deadline:
    """The deadline of a call's answer, or of a part of it that may take so many seconds."""
    left = max(call.remaining() - MARGIN, 0.01)
    return Deadline(
        time.monotonic() + (left if seconds is None else min(left, seconds)), call.cancelled
    )


def within(deadline: Deadline, ask: Callable[[], Found]) -> Found:
    """What `ask` gives, though it cannot be interrupted. Raises TimeoutError and leaves it alone
    when it takes longer."""
    from threading import Thread

    results: list[Any] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(ask())
        except Exception as error:
            errors.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(min(deadline.left(), BLINK))
    if errors:
        raise errors[0]
    found: Found = results[0]
    return found
