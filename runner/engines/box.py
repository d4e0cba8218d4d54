"""The contract between a job and an engine: what is asked for, and the box that comes back.

Several threads may use a box at once. The order is `open`, then `run` any number of times, then
`close`, which never fails and always happens. Paths named "inside" are as a step sees them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from runner.errors import EXIT_ENVIRONMENT, PipeError
from runner.events import Result

#: Receives what a process prints, as it is printed.
Write = Callable[[bytes], None]
#: Hears that nothing of a process can print any more.
End = Callable[[], None]
#: Receives progress of a pull: image, bytes so far, bytes in all (0 while unknown), done.
Progress = Callable[[str, int, int, bool], None]

#: What machines call themselves -> what `runner.arch` says.
ARCHITECTURES = {
    "x86_64": "X64",
    "amd64": "X64",
    "aarch64": "ARM64",
    "arm64": "ARM64",
    "armv7l": "ARM",
}


#: The reason of an EngineError after which the box can do nothing more.
BOX_LOST = "box-lost"


class EngineError(PipeError):
    """The engine could not do its part; `reason` is one word for records and tests."""

    exit_code: ClassVar[int] = EXIT_ENVIRONMENT

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a box and how to get it; `credentials` are (user, password) for its registry."""

    name: str
    pull: Literal["missing", "always", "never"] = "missing"
    credentials: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a job's tree comes from: a snapshot to lay a writable layer over, or a folder as it is.

    `layers` are folders of the host, uppermost first, never written to; `objects` are git's object
    folders, mounted read-only at `/github/objects/0`, `/github/objects/1`, ... `bind` replaces all.
    `open_layers` gives the same layers with modes that any user may write to.
    """

    layers: tuple[Path, ...] = ()
    objects: tuple[Path, ...] = ()
    bind: Path | None = None
    open_layers: Callable[[], tuple[Path, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A container that runs beside the job, which reaches it under the host name `id`. Empty
    `command` and `entrypoint` leave those of the image."""

    id: str
    image: Image
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    options: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A service that runs; `ports` are those inside -> where the host has them."""

    id: str
    network: str
    ports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """What a job needs of a box. `mounts` are folders of this host that it sees, without changing
    them, at `Box.path_of(name)`."""

    run: int
    job: str
    attempt: int
    project: str
    image: Image
    workspace: Workspace
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    options: str = ""
    #: put into the control folder
    files: Mapping[str, bytes] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    #: have the published ports of services at `localhost` too, as where a job names no container
    services_at_localhost: bool = False
    #: leave the box to the user when the job failed
    keep: bool = False


@dataclass(frozen=True, slots=True)
class BoxFacts:
    """What a box is like inside; `env` is the environment that its image sets, `control` the
    folder that holds the spec's `files`. `objects` are where those of the workspace are. `ports` and
    `services` are as the host reaches them."""

    workspace: str
    control: str
    temp: str
    tool_cache: str
    env: Mapping[str, str]
    shells: frozenset[str]
    os: str = "Linux"
    arch: str = "X64"
    id: str = ""
    objects: tuple[str, ...] = ()
    network: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a step. `folder` came from `Box.new_folder`; `files` are put into it before
    the start, and those named in `collect` are read back after the end. `id` marks descendants."""

    id: str
    folder: str
    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    files: Mapping[str, bytes]
    collect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended. `reason` is empty, `cancelled`, `timeout`, `out-of-memory` or `lost`;
    `explanation` is a sentence for the user where there is one. `refused` names the collected files
    that are not what they were (a link, too large), and why."""

    exit_code: int
    files: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    explanation: str = ""


class Stop(Protocol):
    """Why and when a running process has to end; asked several times a second."""

    def reason(self) -> Literal["", "cancelled", "timeout"]: ...

    def immediately(self) -> bool: ...


class NoStop:
    """Nothing stops this process."""

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return ""

    def immediately(self) -> bool:
        return False


NO_STOP = NoStop()


def nowhere(_: bytes) -> None:
    """A `Write` for what nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Stops a process at a point of `time.monotonic()`."""

    at: float

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return "timeout" if time.monotonic() >= self.at else ""

    def immediately(self) -> bool:
        return False


class Box(Protocol):
    """A place where the steps of one job run."""

    @property
    def facts(self) -> BoxFacts: ...

    def new_folder(self) -> str:
        """The path, inside, of a fresh folder for one step's script and command files."""
        ...

    def run(
        self, process: Process, write: Write, stop: Stop, *, end: End | None = None
    ) -> Finished:
        """Run a process to its end. Raises EngineError when the box itself is gone.

        `end` is called once for a process that was started, after the last `write`: when neither it
        nor what it left in the background can print any more, at the latest when the box closes.
        Both may be called from another thread, but never at the same time.
        """
        ...

    def beside(self, image: Image, progress: Progress) -> "Box":
        """Another box of that image over the same workspace and network; closed with this one."""
        ...

    def run_image(
        self,
        image: Image,
        process: Process,
        write: Write,
        stop: Stop,
        *,
        entrypoint: str = "",
        progress: Progress,
        end: End | None = None,
    ) -> Finished:
        """Run an image as it is, once, over the same workspace, control folder and network.

        Its own entry point, unless one is given, gets `argv`; without those, the arguments that the
        image brings. The image needs no shell. Otherwise as `run`.
        """
        ...

    def build_image(
        self,
        context: Path | str,
        dockerfile: str,
        write: Write,
        *,
        build_args: Mapping[str, str] | None = None,
        target: str = "",
    ) -> Image:
        """Build an image from a folder of this host, or (as text) of the box.

        `dockerfile` is a path in that folder. Raises EngineError with the reason `build` when an
        instruction failed.
        """
        ...

    def bring(self, name: str, folder: Path) -> str:
        """Have the box see a copy of a folder of this host, at the path that is returned.

        A name that was mounted or brought before is there already.
        """
        ...

    def bring_program(self, image: Image, program: str, progress: Progress) -> str:
        """The path, inside, of a copy of a program at that path of an image.

        Raises EngineError when the image cannot be had or has no such file.
        """
        ...

    def path_of(self, name: str) -> str:
        """Where the folder mounted or brought under that name is, or would be, inside."""
        ...

    def read_tree(self, path: str) -> Iterator[bytes]:
        """The file or folder at `path` (inside) as the blocks of a tar stream.

        Raises FileNotFoundError when it does not exist."""
        ...

    def write_tree(self, path: str, blocks: Iterable[bytes]) -> None:
        """Unpack a tar stream into the folder `path` (inside), which is made if need be.

        What is in it belongs to the user of the box. Raises EngineError when it cannot be written,
        and what `blocks` raises.
        """
        ...

    def pack(self, cwd: str, paths: Sequence[str], *, follow: bool = False) -> Iterator[bytes]:
        """Files and folders below the folder `cwd` (inside) as a tar stream; `paths` are relative
        to it, and so are the names in the stream. Faster than `read_tree`.

        With `follow` it holds what links lead to, unless there is no `tar` in the box.

        Raises EngineError, in the middle if need be, when something cannot be read.
        """
        ...

    def shell(self, process: Process) -> int:
        """Give the terminal to an interactive shell in the box; returns its exit code."""
        ...

    def close(self, result: Result) -> None:
        """End every process and remove what was made; `result` decides whether `keep` applies."""
        ...


class Engine(Protocol):
    """Opens boxes. One engine serves several threads."""

    @property
    def name(self) -> str: ...

    def check(self) -> None:
        """Raises EnvironmentMissingError, with what to do, when no job could run."""
        ...

    def open(
        self,
        spec: BoxSpec,
        progress: Progress,
        *,
        write: Write = nowhere,
        stop: Stop = NO_STOP,
    ) -> Box:
        """Raises EngineError when the box cannot be had; nothing is left behind then.

        `write` gets what there is to know about services; `stop` ends the wait for them (then the
        error's reason is `cancelled` or `timeout`).
        """
        ...

    def finish(self) -> None:
        """Called once after the last box: removes what was not while boxes were open."""
        ...
