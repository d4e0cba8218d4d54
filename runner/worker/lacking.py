"""What a worker's machine lacks for a time: said once, and once more when it is there again."""

import time
from collections.abc import Callable

from runner.errors import EnvironmentMissingError
from runner.worker.log import Log

#: Seconds until something is tried again that was missing: the database, the engine.
PATIENCE = 2.0


class Lacking:
    """Threads may share it."""

    def __init__(self, confirm: Callable[[], None], log: Log) -> None:
        """`confirm` raises EnvironmentMissingError when no container can run here now."""
        self._confirm = confirm
        self._log = log
        self._confirmed = float("-inf")
        #: Whether containers could not run here, when that was looked at last.
        self.engine = False
        #: What else is missing, in words.
        self.missing = ""

    def note(self, error: EnvironmentMissingError) -> None:
        """That was missing just now."""
        if error.message != self.missing:
            self.missing = error.message
            self._log.say("error", f"{error.message}; trying again every {PATIENCE:g} s")

    def clear(self) -> None:
        """Nothing else than an engine is missing."""
        if self.missing:
            self.missing = ""
            self._log.say("info", "what was missing is there again")

    def has_engine(self) -> bool:
        """Whether containers can run here, as far as that was found out lately."""
        if self.engine and time.monotonic() - self._confirmed >= PATIENCE:
            self.confirm_engine()
        return not self.engine

    def confirm_engine(self) -> bool:
        """Whether containers can run here now."""
        self._confirmed = time.monotonic()
        try:
            self._confirm()
        except EnvironmentMissingError as error:
            if not self.engine:
                self._log.say("error", f"{error.message}: jobs in containers wait for it")
            self.engine = True
            return False
        if self.engine:
            self._log.say("info", "the engine for containers is there again")
        self.engine = False
        return True
