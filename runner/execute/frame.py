"""Steps that see each other's results: those of a job, or those of one use of an action."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.errors import Position
from runner.events import Result
from runner.model import Defaults, Path


@dataclass(slots=True)
class Frame:
    """What is common to such steps. `status` is how they went until now.

    `key` are the ids of the steps that use actions around it: none for the steps of the job.
    """

    locate: Callable[[Path], Position]
    key: tuple[str, ...] = ()
    #: the settings of `run` steps that name none, nearest first
    defaults: tuple[Defaults, ...] = ()
    #: what an action was given; None in a job, which has the inputs of its pipeline
    inputs: Mapping[str, str] | None = None
    #: variables of the step that uses the action; they win over those of GITHUB_ENV
    env: Mapping[str, str] = field(default_factory=dict)
    #: what `github` says here besides
    github: Mapping[str, str] = field(default_factory=dict)
    #: of `time.monotonic()`: when the step that uses the action has to have ended
    deadline: float = float("inf")
    #: whether the step that uses the action goes on although the job should end
    goes_on: Callable[[], bool] = lambda: False
    status: Result = "success"
    #: the `steps` context
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_action(self) -> bool:
        return self.inputs is not None

    def fail(self) -> None:
        """A step failed; what was cancelled stays so."""
        if self.status == "success":
            self.status = "failure"
