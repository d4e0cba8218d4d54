"""Calling a plugin, which is somebody else's code: it may raise, hang, or answer with nonsense."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runner.plugin.delivery import DeliveryError

Answer = TypeVar("Answer")

#: Seconds that a plugin has beyond its deadline, and after a cancellation, before it is given up.
GRACE = 5.0
_LOOK = 0.1


class FailedError(Exception):
    """A deployment cannot go on; `reason` is one of `definition.TRIGGERS`, or cancelled, rejected,
    timeout."""

    def __init__(self, message: str, reason: str = "deploy-failed") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


@dataclass(slots=True)
class _Outcome(Generic[Answer]):
    answers: list[Answer] = field(default_factory=list)
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


def contained(
    who: str,
    what: str,
    call: Callable[[], Answer],
    *,
    deadline: float,
    cancelled: Callable[[], bool] = lambda: False,
    grace: float = GRACE,
) -> Answer:
    """What `call` returns. Raises FailedError, which names `who`, for all that may go wrong.

    `deadline` is of `time.monotonic()`. A call that does not end is left behind in its thread.
    """
    outcome: _Outcome[Answer] = _Outcome()
    thread = threading.Thread(target=_do, args=(call, outcome), name=f"{who}: {what}", daemon=True)
    thread.start()
    until = deadline + grace
    while not outcome.done.wait(max(0.0, min(_LOOK, until - time.monotonic()))):
        if cancelled():
            until = min(until, time.monotonic() + grace)
            cancelled = _never
        if time.monotonic() >= until:
            raise FailedError(f"the {who} did not answer in time ({what})")
    if outcome.error is not None:
        raise _told(who, what, outcome.error) from outcome.error
    return outcome.answers[0]


def all_of(kind: type[Answer], answers: Iterable[Answer]) -> list[Answer]:
    """The answers as a list. Raises DeliveryError for one that is of another kind."""
    found = list(answers)
    for each in found:
        if not isinstance(each, kind):
            raise DeliveryError(f"it gave {each!r} where {kind.__name__} was asked for")
    return found


def _never() -> bool:
    return False


def _do(call: Callable[[], Answer], outcome: _Outcome[Answer]) -> None:
    try:
        outcome.answers.append(call())
    except BaseException as error:  # also SystemExit: it is the plugin that wants to end, not we
        outcome.error = error
    finally:
        outcome.done.set()


def _told(who: str, what: str, error: BaseException) -> FailedError:
    if isinstance(error, FailedError):
        return error
    if isinstance(error, DeliveryError):
        return FailedError(f"the {who}: {error}")
    return FailedError(f"the {who} crashed ({what}): {error!r}")
