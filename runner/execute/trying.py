"""One try of a step: what doing it needs, and what it leaves for later steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from runner.engines.box import Process
from runner.errors import PipeError
from runner.events import Result
from runner.execute.around import StepEnd, Surroundings
from runner.execute.frame import Frame
from runner.execute.reporting import Reporter
from runner.execute.scope import Scope
from runner.execute.stopping import StepStop
from runner.model import Step


@dataclass(slots=True)
class Try:
    """A step that is being done, in its frame; `number` is that of the job's step around it."""

    around: Surroundings
    frame: Frame
    step: Step
    number: int
    scope: Scope
    reporter: Reporter
    #: Whether somebody wants this step alone to end.
    unwanted: Callable[[], bool] = lambda: False
    #: the last process that ran, for a shell in its place
    process: Process | None = None

    def stop(self) -> StepStop:
        """When the step has to end, if it begins now."""
        limit = self.scope.seconds(self.step.timeout_minutes)
        own = time.monotonic() + limit if limit else float("inf")
        deadline = min(own, self.frame.deadline)
        return StepStop(self.around.clock, self.goes_on, deadline, unwanted=self.unwanted)

    def goes_on(self) -> bool:
        """Whether the step's condition still holds now that the job should end."""
        status = self.frame.status if self.frame.goes_on() else "cancelled"
        try:
            return self.scope.holds(status, cancelled=True)
        except PipeError:
            return False  # a condition that cannot be asked keeps nothing alive

    def stopped(self, stop: StepStop, message: str, reason: str) -> StepEnd:
        """How it ends when `stop` ended it; only its own time limit makes that a failure."""
        self.complain(message)
        ended: Result = "failure" if stop.timed_out == "step" else "cancelled"
        return StepEnd(ended, ended, reason=reason)

    def say(self, line: str) -> None:
        """A line of our own in the step's log."""
        self.around.say(self.number, line)

    def complain(self, message: str) -> None:
        """As `say`, marked as an error."""
        self.around.complain(self.number, message)


#: Does a step once. Raises InvalidInputError for settings that make no sense.
Work = Callable[[Try], StepEnd]
