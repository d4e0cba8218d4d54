"""What can happen in a run, as frozen values; a sink is a function of one of them.

Statuses in the store are a projection of these events. Bytes that a step prints are not among them:
they go to the log of the job's attempt, and `OutputWritten` names the range.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from runner.errors import Position

Result = Literal["success", "failure", "cancelled", "skipped"]
Level = Literal["debug", "notice", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`time` is seconds since the epoch; `run` is the number of the run."""

    run: int
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    name: str
    file: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    result: Result
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(Event):
    """`job` is the job's key in the plan: its id, and for a leg of a matrix `id (1)`, `id (2)`, ...;
    in a call, the key of that is before it: `call / id`."""

    job: str
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueued(JobEvent):
    """A job became runnable; before its first attempt or, after a failure, for the next one."""

    name: str
    delay: float = 0.0
    #: Why no earlier result could be reused, where `sources` ask for that.
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(JobEvent):
    name: str
    worker: str
    image: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(JobEvent):
    """The end of an attempt, or of a job that never ran (skipped, cancelled).

    `final`: no attempt follows; `softly`: it failed, and `continue-on-error` says that this is fine.
    `environment_url` is where its environment can be seen. `reused_from` is the run whose result
    this is; 0 when the job did not end there.
    """

    name: str
    result: Result
    reason: str = ""
    final: bool = True
    softly: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    environment_url: str = ""
    reused_from: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePulling(JobEvent):
    """Progress of a pull; `current` and `total` are bytes (0 while unknown)."""

    image: str
    current: int = 0
    total: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(JobEvent):
    """`step` counts the job's steps from 1; 0 is the setting up of the job's box, -1 its removal."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(StepEvent):
    id: str
    name: str
    position: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(StepEvent):
    """`outcome` is before, `conclusion` after `continue-on-error`; `exit_code` is None where none exists."""

    id: str
    name: str
    outcome: Result
    conclusion: Result
    exit_code: int | None = None
    reason: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputWritten(StepEvent):
    """Bytes `offset` to `offset + length` of the attempt's log belong to this step."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation(StepEvent):
    """A finding that a step reported (`::error file=...::`), or that we report about it."""

    level: Level
    message: str
    title: str = ""
    file: str = ""
    line: int = 0
    end_line: int = 0
    column: int = 0
    end_column: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWritten(StepEvent):
    """Markdown that a step left in its summary file."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something of our own to tell the user, about a job or (empty `job`) the run."""

    message: str
    level: Level = "notice"
    job: str = ""


Emit = Callable[[Event], None]

EVENT_TYPES: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        RunFinished,
        JobQueued,
        JobStarted,
        JobFinished,
        ImagePulling,
        StepStarted,
        StepFinished,
        OutputWritten,
        Annotation,
        SummaryWritten,
        Note,
    )
}


def to_json(event: Event) -> dict[str, Any]:
    """The event as JSON-like data: `{"event": "StepStarted", "time": ..., ...}`."""
    return {"event": type(event).__name__, **asdict(event)}


def from_json(data: Mapping[str, Any]) -> Event:
    """The inverse of `to_json`; unknown fields of a newer version are left out.

    Raises KeyError for a kind of event that this version does not know.
    """
    kind = EVENT_TYPES[data["event"]]
    known = {f.name: data[f.name] for f in fields(kind) if f.name in data}
    if isinstance(known.get("position"), Mapping):
        known["position"] = Position(**known["position"])
    return kind(**known)
