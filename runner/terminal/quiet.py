"""Nothing until the end, and then no more than what failed and the verdict."""

import threading

from runner.events import Event, RunFinished
from runner.terminal.outlet import Outlet
from runner.terminal.picture import Picture
from runner.terminal.report import brief_report
from runner.terminal.words import Paint


class QuietView:
    """Waits for the end of the run."""

    def __init__(self, outlet: Outlet, paint: Paint) -> None:
        self._outlet = outlet
        self._paint = paint
        self._lock = threading.Lock()
        self._picture = Picture()

    def emit(self, event: Event) -> None:
        """Takes an event in; the last one of a run prints what became of it."""
        with self._lock:
            self._picture.show(event)
            if isinstance(event, RunFinished):
                self._outlet.say(
                    *brief_report(self._picture, event, self._paint, self._outlet.width())
                )

    def close(self) -> None:
        """Nothing was begun that could be ended."""
