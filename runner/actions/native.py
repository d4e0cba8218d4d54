"""What an action that comes with the runner is to a job, and what the job is to it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from runner.actions.fetch import ActionStore
from runner.engines.box import BoxFacts, Stop, Workspace
from runner.engines.script import RunsProcesses
from runner.errors import EXIT_RUN_FAILED, PipeError
from runner.storage import Storage


class ActionFailedError(PipeError):
    """The step fails for this reason; the message is for the user."""

    exit_code: ClassVar[int] = EXIT_RUN_FAILED


class ActionStoppedError(ActionFailedError):
    """The step has to end: `reason` is `cancelled` or `timeout`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the step was stopped: {reason}")
        self.reason = reason


class ActionBox(RunsProcesses, Protocol):
    """What actions need of a job's box; paths are as a step sees them."""

    @property
    def facts(self) -> BoxFacts: ...

    def write_tree(self, path: str, blocks: Iterable[bytes]) -> None: ...

    def pack(self, cwd: str, paths: Sequence[str], *, follow: bool = False) -> Iterator[bytes]: ...


class NativeCall(Protocol):
    """One call of an action, of its main part or of its post part.

    `inputs` has a value for every declared one. What `main` leaves in `state` is there in `post`.
    """

    @property
    def inputs(self) -> Mapping[str, str]: ...
    @property
    def workspace(self) -> str: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def github(self) -> Mapping[str, Any]: ...
    @property
    def project(self) -> str: ...
    @property
    def run_number(self) -> int: ...
    @property
    def job(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def box(self) -> ActionBox: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def source(self) -> Workspace:
        """What the box's workspace was made from."""
        ...

    @property
    def actions(self) -> ActionStore: ...
    @property
    def shared(self) -> MutableMapping[str, str]:
        """What all uses of the action in this job keep for each other."""
        ...

    @property
    def state(self) -> MutableMapping[str, str]: ...
    @property
    def stop(self) -> Stop: ...

    def log(self, text: str) -> None:
        """Print to the step's log."""
        ...

    def mask(self, secret: str) -> None:
        """From now on nothing that is printed shows it."""
        ...

    def set_output(self, name: str, value: str) -> None: ...

    def warning(self, message: str) -> None:
        """Report something that the user should look at."""
        ...

    def error(self, message: str) -> None:
        """Report something wrong; the step goes on."""
        ...


@dataclass(frozen=True, slots=True)
class ActionInput:
    """A declared input."""

    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class NativeAction:
    """An action. Its parts raise PipeError when the step fails.

    `post` is called at the end of the job, if `main` was and the condition `post_if` holds; with
    `post_if_kept` only if `main` left something in `state`.
    """

    name: str
    inputs: Mapping[str, ActionInput]
    outputs: tuple[str, ...]
    main: Callable[[NativeCall], None]
    post: Callable[[NativeCall], None] | None = None
    post_if: str = "always()"
    post_if_kept: bool = False


def watched(call: NativeCall, blocks: Iterable[bytes | memoryview]) -> Iterator[Any]:
    """The blocks, until the step has to end. Raises ActionStoppedError then."""
    for block in blocks:
        if reason := call.stop.reason():
            raise ActionStoppedError(reason)
        yield block
