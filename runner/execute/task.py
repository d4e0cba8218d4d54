"""What a worker hands over: one attempt of one job, and how to reach the rest of the program."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, Protocol

from runner.actions.fetch import ActionStore
from runner.engines.box import Image, Service, Workspace
from runner.environments import Entered
from runner.errors import InvalidInputError, Position
from runner.events import Result
from runner.model import Job, Path, Pipeline
from runner.plan import PlannedJob
from runner.plugin import PluginStep
from runner.project import Environment
from runner.storage import Storage

if TYPE_CHECKING:
    from runner.delivery.order import Desk


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user allows and wishes for this run, whatever the pipeline says."""

    #: label -> image, lower-case labels
    images: Mapping[str, str] = field(default_factory=dict)
    allow_host: bool = False
    #: leave out a job that no place here is for, instead of failing it
    skip_unmapped: bool = False
    #: `--env`: set for every step, below what the pipeline sets itself
    env: Mapping[str, str] = field(default_factory=dict)
    keep_failed: bool = False
    shell_on_failure: bool = False
    debug: bool = False
    environments: Mapping[str, Environment] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job runs: on this host, or in a box of an image."""

    host: bool
    image: Image
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    options: str = ""
    services: tuple[Service, ...] = ()
    #: chosen by a label: the job names no container of its own
    is_machine: bool = False
