"""What all steps of a job share, and how each of them ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runner.engines.box import Box
from runner.engines.files import read_file
from runner.events import Emit, ImagePulling, Result
from runner.execute.contexts import JobState
from runner.execute.job_actions import JobActions
from runner.execute.log import StepLog
from runner.execute.reporting import CommandState, Reporter
from runner.execute.stopping import JobClock
from runner.execute.task import JobTask
from runner.model import Step
from runner.secrets import Masker

if TYPE_CHECKING:
    from runner.execute.post import Post
    from runner.execute.trying import Work


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step, or one try of it, ended."""

    outcome: Result
    conclusion: Result
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The job as a step meets it. `work` tells how a step is done, whatever its kind."""

    task: JobTask
    box: Box
    emit: Emit
    log: StepLog
    masker: Masker
    clock: JobClock
    state: JobState
    actions: JobActions
    work: "Callable[[Step], Work]"
    commands: CommandState = field(default_factory=CommandState)
    #: What is to be done at the end of the job, last one first.
    posts: "list[Post]" = field(default_factory=list)
    #: What uses of actions have kept between their stages (GITHUB_STATE), by `Frame.key` and step.
    kept: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def say(self, step: int, line: str) -> None:
        """A line of our own in a step's log."""
        self.log.say(step, line)

    def complain(self, step: int, message: str) -> None:
        """As `say`, marked as an error."""
        self.say(step, f"##[error]{message}")

    def pulling(self, image: str, current: int, total: int, done: bool) -> None:
        """Progress of an image that the job waits for."""
        where = self.task.where()
        self.emit(ImagePulling(**where, image=image, current=current, total=total, done=done))

    def apart(self) -> "Surroundings":
        """For a step that runs beside the others."""
        return replace(self, state=self.state.apart(), commands=self.commands.apart())

    def reporter(self, step: int, env: Mapping[str, str]) -> Reporter:
        """What carries out the commands of one try of a step with these variables."""
        return Reporter(
            self.task,
            step,
            self.emit,
            self.masker,
            self.commands,
            env,
            lambda path: read_file(self.box, path),
            self.box.facts.workspace,
        )

    def add_post(self, post: "Post") -> None:
        """Do this at the end; a step that is tried again has one end all the same, the last."""
        self.posts[:] = [*(each for each in self.posts if not each.is_of(post)), post]
