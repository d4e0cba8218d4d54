"""A run and its jobs as frozen values, as the queue reads and writes them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.events import Event, Result
from runner.plan import JobState, Plan, PlannedJob, asker_of

DEFAULT_QUEUE = "default"
#: A job of a run that belongs to a process is leased by the run's number alone.
PRIVATE_POOL = ""
#: How many seconds earlier than it came a run counts as having come, for each point of priority.
#: So whoever waits long enough comes first, whatever comes after it.
PRIORITY_SECONDS = 36.0

Verdict = Literal["approved", "rejected"]
JobStatus = Literal["blocked", "scheduled", "queued", "running", "finished"]
RunStatus = Literal["queued", "running", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a run is started with; all mappings are JSON-like, and none of them holds a secret.

    `file` is the pipeline as shown to users, `text` its source, `project` the path of the checkout.
    `called` has the texts of the pipelines that it calls, by what calls name. `process` is the
    `process_identity` of the process that the run lives and dies with, or "" if it is submitted to
    the queue. `owner` is the name of who wants the run; owners take turns.
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
    process: str = ""
    owner: str = ""
    #: Limits are set by queue.
    queue: str = DEFAULT_QUEUE
    #: 0 to 100; more is leased earlier.
    priority: int = 0
    #: Whoever submits with the same key again, gets the same run.
    submission_key: str | None = None
    #: Seconds from its start to its end.
    time_limit: float | None = None
    rerun_of: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """One job of a run: how far it is, and who has it."""

    key: str
    job: str
    name: str
    position: int
    pool: str
    owner: str
    rank: float
    state: JobStatus = "blocked"
    #: The limit that its run waits for, or what it waits for in front of its environment.
    held: str = ""
    result: Result | None = None
    reason: str = ""
    failed_softly: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    #: The attempt that runs, or else the one that would be next.
    attempt: int = 1
    #: How many of the attempts ended because their worker was gone.
    losses: int = 0
    #: How many were given back, as their worker's machine lacked something.
    returns: int = 0
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
    #: When a run that is not in the queue yet enters it.
    due_at: float | None = None
    #: When it is too late to start, and to go on.
    expires_at: float | None = None
    deadline: float | None = None
    #: The groups that it stood in line for when it was read: job key (the run's own is "") -> name.
    groups: Mapping[str, str] = field(default_factory=dict)


#: A concurrency group: the project that it is of, and its name with the case folded.
Group = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the line of a group: of a run, of one of its jobs, or of what that calls.

    `job` is "" for the run, and `called_in` of the call for what is called. `id` grows in the order
    of arrival; it is 0 for one that is not written yet. `shown` is the group's name as written.
    While it holds the group, no more than `capacity` places do.
    """

    run: int
    job: str
    shown: str
    id: int = 0
    capacity: int = 1

    def __str__(self) -> str:
        asker = asker_of(self.job)
        return f"run {self.run} (job `{asker}`)" if asker else f"run {self.run}"


#: Who stands in line for a group; the first ones hold it.
Line = tuple[Place, ...]


def holders(line: Line) -> Line:
    """The first ones, as many as all of them allow: nobody overtakes one who wants to be alone."""
    allowed = itertools.accumulate((place.capacity for place in line), min)
    full = (at for at, most in enumerate(allowed) if at >= most)
    return line[: next(full, len(line))]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a submitted run failed for good; `job` is the key of the first that did, or "".

    `kind`: failed, poison, expired, timeout or unparseable.
    """

    kind: str
    job: str
    error: str


@dataclass(frozen=True, slots=True)
class Success:
    """A job, by its key, that succeeded, and may be reused until `expires_at`."""

    fingerprint: str
    job: str
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person said about a job that wants into its environment, or goes on in it."""

    job: str
    environment: str
    name: str
    verdict: Verdict
    comment: str
    time: float


@dataclass(frozen=True, slots=True)
class Admission:
    """A job was let into an environment (its name with the case folded), as one of no more than
    `maximum` jobs of its project `since` then, if that is limited.
    """

    job: str
    project: str
    environment: str
    time: float
    maximum: int | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class RunEdit:
    """A run as it was read (None: it is new), as it shall be, and the events that tell how."""

    before: StoredRun | None
    after: StoredRun
    events: Sequence[Event]
    dead: DeadLetter | None = None
    successes: Sequence[Success] = ()
    #: The run whose dead letter goes on as this new one.
    letter: int | None = None
    approvals: Sequence[Approval] = ()
    admissions: Sequence[Admission] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether there is nothing to write."""
        return self.before == self.after and not self.approvals


@dataclass(frozen=True, slots=True)
class LineEdit:
    """The line of a group as it was read, and as it shall be."""

    group: Group
    before: Line
    after: Line


def blocked(
    planned: PlannedJob, position: int, submission: Submission, entered_at: float
) -> StoredJob:
    """The row of a job that nothing was decided about yet; a call that was entered runs by itself.

    `entered_at`: when its run entered the queue.
    """
    return StoredJob(
        key=planned.key,
        job=planned.job,
        name=planned.name,
        position=position,
        pool=PRIVATE_POOL,
        owner=submission.owner,
        rank=entered_at - submission.priority * PRIORITY_SECONDS,
        state="blocked" if planned.inputs is None else "running",
    )


def is_submitted(run: StoredRun) -> bool:
    """Whether the run belongs to the queue, and to no process."""
    return not run.submission.process


def job_state(job: StoredJob) -> JobState:
    """What the planner needs to know; a job that waits for its time or a limit counts as queued."""
    return JobState(
        job.key,
        job.job,
        "queued" if job.state == "scheduled" or job.held else job.state,
        job.result,
        job.outputs,
        job.failed_softly,
        job.finished_order,
        job.reason if job.cancel_requested else "",
    )


def states_of(run: StoredRun) -> dict[str, JobState]:
    """How far all jobs of a run are, by key."""
    return {key: job_state(job) for key, job in run.jobs.items()}
