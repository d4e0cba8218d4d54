"""What all steps of a job share, and how each of them ends."""

from dataclasses import dataclass, field

from runner.engines.box import Box
from runner.events import Emit, ImagePulling, Result
from runner.execute.contexts import JobState
from runner.execute.log import StepLog
from runner.execute.reporting import CommandState
from runner.execute.stopping import JobClock
from runner.execute.task import JobTask
from runner.secrets import Masker


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The job as a step meets it."""

    task: JobTask
    box: Box
    emit: Emit
    log: StepLog
    masker: Masker
    clock: JobClock
    state: JobState
    commands: CommandState = field(default_factory=CommandState)

    def say(self, step: int, line: str) -> None:
        """A line of our own in a step's log."""
        self.log.write(step, self.masker.mask(line.encode() + b"\n"))

    def complain(self, step: int, message: str) -> None:
        """As `say`, marked as an error."""
        self.say(step, f"##[error]{message}")

    def pulling(self, image: str, current: int, total: int, done: bool) -> None:
        """Progress of an image that the job waits for."""
        where = self.task.where()
        self.emit(ImagePulling(**where, image=image, current=current, total=total, done=done))


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step, or one try of it, ended."""

    outcome: Result
    conclusion: Result
    exit_code: int | None = None
    reason: str = ""
