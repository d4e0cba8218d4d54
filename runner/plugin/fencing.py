"""Who comes too late: a call whose environment somebody else has taken over since."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.plugin.delivery import DeliveryCall, DeliveryError

#: A token is written over the one before in a single small write, which no crash cuts in two.
_DIGITS = 20
_LOOK = 0.02


@contextmanager
def fenced(call: DeliveryCall, folder: Path) -> Iterator[None]:
    """Have a plugin's folder alone, and remember there the highest token of all calls.

    Raises DeliveryError for a call with a lower token than one that was here before it, and when
    another one still is when this one's time is over: it may have been halted in the middle.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "token", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _is_locked(descriptor):
            _go_on_waiting(call)
        seen = int(os.pread(descriptor, _DIGITS, 0) or b"0")
        _refuse_older(call, seen)
        if call.token > seen:
            os.pwrite(descriptor, b"%0*d" % (_DIGITS, call.token), 0)
            os.fsync(descriptor)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _go_on_waiting(call: DeliveryCall) -> None:
    if call.cancelled() or not call.remaining():
        raise DeliveryError(
            f"another process is still about to change {call.application} in {call.environment}: "
            "end it, or let it go on"
        )
    time.sleep(_LOOK)


def _refuse_older(call: DeliveryCall, seen: int) -> None:
    if call.token < seen:
        raise DeliveryError(
            f"this call holds token {call.token} of {call.application} in {call.environment}, "
            f"and {seen} has been here since: somebody else has taken over"
        )
