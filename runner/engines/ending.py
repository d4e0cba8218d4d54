"""How a process is made to end: SIGINT, then SIGTERM, then SIGKILL."""

import time

from runner.engines.box import Stop

#: Seconds after the request -> signal.
STAGES = ((0.0, "INT"), (7.5, "TERM"), (10.0, "KILL"))
#: After SIGKILL a process that is still there is given up as lost.
GIVE_UP = 15.0


class Ending:
    """Keeps time from the moment a stop is asked for, and says which signal is due."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._since: float | None = None
        self._sent = 0
        self.reason = ""

    def due(self) -> list[str]:
        """The signals to send now."""
        reason = self._stop.reason()
        if self._since is None and not reason:
            return []
        if self._since is None:
            self._since, self.reason = time.monotonic(), reason
        elapsed = time.monotonic() - self._since
        if self._stop.immediately() and self._sent < len(STAGES):
            self._sent = len(STAGES)
            return ["KILL"]
        due = [signal for at, signal in STAGES[self._sent :] if elapsed >= at]
        self._sent += len(due)
        return due

    def hopeless(self) -> bool:
        """True when even SIGKILL did not help in time."""
        return self._since is not None and time.monotonic() - self._since > GIVE_UP
