"""A run and its jobs as frozen values, as the queue reads and writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.events import Event, Result
from runner.plan import JobState, Plan, PlannedJob

#: What a queued job waits in. A run that belongs to a process is leased by its number alone.
DEFAULT_QUEUE = "default"
PRIVATE_QUEUE = ""

JobStatus = Literal["blocked", "scheduled", "queued", "running", "finished"]
RunStatus = Literal["queued", "running", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a run is started with; all mappings are JSON-like, and none of them holds a secret.

    `file` is the pipeline as shown to users, `text` its source, `project` the path of the checkout.
    `called` has the texts of the pipelines that it calls, by what calls name. `owner` is the
    `process_identity` of the process that the run lives and dies with, or "".
    """

    file: str
    text: str
    called: Mapping[str, str] = field(default_factory=dict)
    project: str
    name: str
    trigger: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Any] = field(default_factory=dict)
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    #: 0 to 100; more is leased earlier.
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """One job of a run: how far it is, and who has it."""

    key: str
    job: str
    name: str
    position: int
    queue: str
    rank: int
    state: JobStatus = "blocked"
    result: Result | None = None
    reason: str = ""
    failed_softly: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    #: The attempt that runs, or else the one that would be next.
    attempt: int = 1
    cancel_requested: bool = False
    due_at: float | None = None
    queued_at: float | None = None
    finished_at: float | None = None
    finished_order: int = 0
    worker: str = ""
    token: str = ""
    lease_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One run with all its jobs, by key; `version` grows with every change of it."""

    id: int
    run_number: int
    submission: Submission
    plan: Plan
    jobs: Mapping[str, StoredJob]
    created_at: float
    version: int = 0
    state: RunStatus = "queued"
    result: Result | None = None
    reason: str = ""
    cancel_requested: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    #: The groups that it stood in line for when it was read: job key (the run's own is "") -> name.
    groups: Mapping[str, str] = field(default_factory=dict)


#: A concurrency group: the project that it is of, and its name with the case folded.
Group = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the line of a group: of a run (`job` is "") or of one of its jobs.

    `id` grows in the order of arrival; it is 0 for one that is not written yet. `shown` is the
    group's name as written there.
    """

    run: int
    job: str
    shown: str
    id: int = 0


#: Who stands in line for a group; the first one holds it.
Line = tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class RunEdit:
    """A run as it was read (None: it is new), as it shall be, and the events that tell how."""

    before: StoredRun | None
    after: StoredRun
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class LineEdit:
    """The line of a group as it was read, and as it shall be."""

    group: Group
    before: Line
    after: Line


def blocked(planned: PlannedJob, position: int, submission: Submission) -> StoredJob:
    """The row of a job that nothing was decided about yet; a call that was entered runs by itself."""
    return StoredJob(
        key=planned.key,
        job=planned.job,
        name=planned.name,
        position=position,
        queue=PRIVATE_QUEUE if submission.owner else DEFAULT_QUEUE,
        rank=-submission.priority,
        state="blocked" if planned.inputs is None else "running",
    )


def job_state(job: StoredJob) -> JobState:
    """What the planner needs to know; a job that waits for its next attempt counts as queued."""
    return JobState(
        job.key,
        job.job,
        "queued" if job.state == "scheduled" else job.state,
        job.result,
        job.outputs,
        job.failed_softly,
        job.finished_order,
    )
