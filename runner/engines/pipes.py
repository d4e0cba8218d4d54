"""The pipes that steps print to, read as they fill, each for the step that it belongs to."""

import contextlib
import os
import selectors
import sys

from runner.engines.box import End, Write

BLOCK = 1 << 20
#: What a pipe may hold, so that a step waits less for its reader.
CAPACITY = 1 << 20


class Pipes:
    """Pipes that background processes hold open stay watched until the box closes."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._open: dict[int, tuple[Write, End | None]] = {}

    def __contains__(self, pipe: int) -> bool:
        return pipe in self._open

    def watch(self, pipe: int, write: Write, end: End | None = None) -> None:
        """Take over the reading end `pipe`, which does not block, and pass on to `write`.

        `end` is called once, when nothing more is going to come.
        """
        widen(pipe)
        self._open[pipe] = (write, end)
        self._selector.register(pipe, selectors.EVENT_READ)

    def pump(self, pipe: int) -> int:
        """Pass on what a pipe holds; gives the number of bytes, 0 when it holds nothing more."""
        try:
            data = os.read(pipe, BLOCK)
        except BlockingIOError:
            return 0
        if data:
            write, _ = self._open[pipe]
            write(data)
        else:
            self._forget(pipe)
        return len(data)

    def drain(self, pipe: int) -> None:
        """Pass on all that was printed until now; who goes on printing cannot keep it going."""
        left = CAPACITY
        while left > 0 and pipe in self._open and (read := self.pump(pipe)):
            left -= read

    def close(self) -> None:
        """Pass on what there is, then stop listening; one that fails does not hinder the others."""
        with contextlib.ExitStack() as closing:
            for pipe in list(self._open):
                closing.callback(self._forget, pipe)
                closing.callback(self.drain, pipe)

    def _forget(self, pipe: int) -> None:
        if pipe not in self._open:
            return
        _, end = self._open.pop(pipe)
        self._selector.unregister(pipe)
        os.close(pipe)
        if end:
            end()


def widen(pipe: int) -> None:
    """Let a pipe hold more, where the system can."""
    import fcntl

    if sys.platform != "linux":
        return
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CAPACITY)
    except OSError:
        # The kernel's limit for this user is reached; the pipe stays as it is.
        return
