"""The pipes that steps print to, read as they fill, each for the step that it belongs to."""

import contextlib
import os
import selectors
import sys
from collections.abc import Callable
from dataclasses import dataclass

from runner.engines.box import End, Write

BLOCK = 1 << 20
#: What a pipe may hold, so that a step waits less for its reader.
CAPACITY = 1 << 20


@dataclass(slots=True)
class Flow:
    """What one process prints. Whoever listens passes it on, so that an error waits for its own."""

    pipe: int
    write: Write
    end: End | None
    is_open: bool = True
    failure: Exception | None = None

    def check(self) -> None:
        """Raises what `write` or `end` raised, in whatever thread that was."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def attempt(self, do: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            do()
        except Exception as error:
            # The one whose output it is has to hear of it, not the one who is listening.
            self.failure = error


class Pipes:
    """Pipes that background processes hold open stay watched until the box closes."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._open: dict[int, Flow] = {}

    def watch(self, pipe: int, write: Write, end: End | None = None) -> Flow:
        """Take over the reading end `pipe`, which does not block, and pass on to `write`.

        `end` is called once, when nothing more is going to come.
        """
        widen(pipe)
        flow = self._open[pipe] = Flow(pipe, write, end)
        self._selector.register(pipe, selectors.EVENT_READ)
        return flow

    def pump(self, pipe: int) -> int:
        """Pass on what a pipe holds; gives the number of bytes, 0 when it holds nothing more."""
        try:
            data = os.read(pipe, BLOCK)
        except BlockingIOError:
            return 0
        flow = self._open[pipe]
        if data:
            flow.attempt(lambda: flow.write(data))
        else:
            self._forget(flow)
        return len(data)

    def drain(self, flow: Flow) -> None:
        """Pass on all that was printed until now; who goes on printing cannot keep it going."""
        left = CAPACITY
        while left > 0 and flow.is_open and (read := self.pump(flow.pipe)):
            left -= read
        flow.check()

    def close(self) -> None:
        """Pass on what there is, then stop listening; one that fails does not hinder the others."""
        with contextlib.ExitStack() as closing:
            for flow in list(self._open.values()):
                closing.callback(flow.check)
                closing.callback(self._forget, flow)
                closing.callback(self.drain, flow)

    def _forget(self, flow: Flow) -> None:
        if not flow.is_open:
            return
        flow.is_open = False
        del self._open[flow.pipe]
        self._selector.unregister(flow.pipe)
        os.close(flow.pipe)
        if flow.end:
            flow.attempt(flow.end)


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
