"""The pipes that steps print to, read as they fill, each for the step that it belongs to."""

import os
import selectors
import sys

from runner.engines.box import Write

BLOCK = 1 << 20
#: What a pipe may hold, so that a step waits less for its reader.
CAPACITY = 1 << 20


class Pipes:
    """Pipes that background processes hold open stay watched until the box closes."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._open: dict[int, Write] = {}

    def __contains__(self, pipe: int) -> bool:
        return pipe in self._open

    def watch(self, pipe: int, write: Write) -> None:
        """Take over the reading end `pipe`, which does not block, and pass on to `write`."""
        _widen(pipe)
        self._open[pipe] = write
        self._selector.register(pipe, selectors.EVENT_READ)

    def pump(self, pipe: int) -> int:
        """Pass on what a pipe holds; gives the number of bytes, 0 when it holds nothing more."""
        try:
            data = os.read(pipe, BLOCK)
        except BlockingIOError:
            return 0
        if data:
            self._open[pipe](data)
        else:
            self._forget(pipe)
        return len(data)

    def drain(self, pipe: int) -> None:
        """Pass on all that was printed until now; who goes on printing cannot keep it going."""
        left = CAPACITY
        while left > 0 and pipe in self._open and (read := self.pump(pipe)):
            left -= read

    def close(self) -> None:
        """Pass on what there is, then stop listening."""
        for pipe in list(self._open):
            self.drain(pipe)
            if pipe in self._open:
                self._forget(pipe)

    def _forget(self, pipe: int) -> None:
        self._selector.unregister(pipe)
        del self._open[pipe]
        os.close(pipe)


def _widen(pipe: int) -> None:
    import fcntl

    if sys.platform != "linux":
        return
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CAPACITY)
    except OSError:
        # The kernel's limit for this user is reached; the pipe stays as it is.
        return
