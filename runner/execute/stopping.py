"""When a job and its steps have to end: time limits and wishes, as an engine asks for them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from runner.execute.task import Request

#: Seconds that a job which says nothing itself may go on after it was told to end.
CANCEL_LIMIT = 300.0


@dataclass(slots=True)
class JobClock:
    """The job's own limits: its deadline (of `time.monotonic()`), and since when it should end."""

    request: Request
    deadline: float
    told_at: float | None = field(default=None)
    #: seconds from being told to end to the end of everything
    patience: float = CANCEL_LIMIT

    def ending(self) -> Literal["", "cancelled", "timeout"]:
        """Why the job should end, once there is a reason."""
        reason: Literal["", "cancelled", "timeout"] = ""
        if self.request.cancelled():
            reason = "cancelled"
        elif time.monotonic() >= self.deadline:
            reason = "timeout"
        if reason and self.told_at is None:
            self.told_at = time.monotonic()
        return reason

    def immediately(self) -> bool:
        """True when nothing of the job may go on, whatever its conditions say."""
        overdue = self.told_at is not None and time.monotonic() - self.told_at > self.patience
        return overdue or self.request.immediately()


@dataclass(frozen=True, slots=True)
class JobStop:
    """A job's reasons to end, for what it waits for before its first step."""

    clock: JobClock

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return self.clock.ending()

    def immediately(self) -> bool:
        return self.clock.immediately()


@dataclass(slots=True)
class StepStop:
    """One step's reasons to end. When the job should end, the step's condition is asked once more:
    one that still holds (`always()`) lets the step go on. `unwanted` asks for this step alone."""

    clock: JobClock
    holds_when_ending: Callable[[], bool]
    deadline: float = float("inf")
    unwanted: Callable[[], bool] = lambda: False
    #: Why it ended, for the one who looks afterwards: `step`, `job` or nothing.
    timed_out: Literal["", "step", "job"] = ""
    _goes_on: bool | None = None

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        if time.monotonic() >= self.deadline:
            self.timed_out = "step"
            return "timeout"
        if self.unwanted():
            return "cancelled"
        ending = self.clock.ending()
        if not ending or (self._asked() and not self.clock.immediately()):
            return ""
        if ending == "timeout":
            self.timed_out = "job"
        return ending

    def immediately(self) -> bool:
        return self.clock.immediately()

    def _asked(self) -> bool:
        if self._goes_on is None:
            self._goes_on = self.holds_when_ending()
        return self._goes_on
