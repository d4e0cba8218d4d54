"""What a worker hands over: one attempt of one job, and how to reach the rest of the program."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, Protocol

from runner.actions.fetch import ActionStore
from runner.engines.box import Workspace
from runner.environments import Entered
from runner.errors import InvalidInputError, Position
from runner.events import Result
from runner.execute.policy import Policy
from runner.model import Job, Path, Pipeline
from runner.plan import PlannedJob
from runner.plugin import PluginStep
from runner.storage import Storage

if TYPE_CHECKING:
    from runner.delivery.order import Desk


def no_desk() -> "Desk":
    """For jobs that nobody lets deploy anything."""
    raise InvalidInputError("nothing can be deployed from here")


@dataclass(frozen=True, slots=True)
class JobTask:
    """One attempt of a job. `contexts` are those that hold for all of it:
    github, inputs, vars, needs, strategy, matrix. `secrets` are all that were given, and once the
    job is in its `environment`, those that it sees."""

    run: int
    attempt: int
    pipeline: Pipeline
    job: Job
    planned: PlannedJob
    contexts: Mapping[str, Any]
    secrets: Mapping[str, str]
    project: str
    workspace: Workspace
    policy: Policy
    locate: Callable[[Path], Position]
    storage: Storage
    steps: Mapping[str, PluginStep] = field(default_factory=dict)
    actions: ActionStore = field(default_factory=lambda: ActionStore(File()))
    environment: Entered = field(default_factory=Entered)
    #: Where its steps deploy; made when the first one does.
    desk: "Callable[[], Desk]" = no_desk

    def where(self) -> dict[str, Any]:
        """What every event of this attempt begins with."""
        return {
            "run": self.run,
            "time": time.time(),
            "job": self.planned.key,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How an attempt ended. `reason` is empty, `timeout`, `cancelled` or what kept the job from
    running (`environment`, `lost`, `expression`); `softly`: it failed, and `continue-on-error` says
    that this is fine."""

    result: Result
    outputs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    softly: bool = False
    environment: str = ""
    environment_url: str = ""


class Request(Protocol):
    """Whether somebody wants this job to end; asked from the job's thread."""

    def cancelled(self) -> bool: ...

    def immediately(self) -> bool: ...
