"""The tables as SQLModel classes: what migrations are made from and what listings are read with.

JSON is kept as text, times are seconds since the epoch, and a job is named by its run and its key.
"""

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel


def _where(name: str, *columns: str, only: str, unique: bool = False) -> Index:
    """An index of only those rows that matter to the query that it serves."""
    condition = text(only)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _default(value: str) -> dict[str, str]:
    """For a column that was added to rows that existed."""
    return {"server_default": value}


class PipelineRow(SQLModel, table=True):
    """A pipeline file of a project, and how many runs it has had."""

    __tablename__ = "pipeline"

    project: str = Field(primary_key=True)
    file: str = Field(primary_key=True)
    runs: int


class RunRow(SQLModel, table=True):
    """One execution of a pipeline; `version` counts changes, so that a stale one is noticed.

    `process` is the one that it lives and dies with, "" if it belongs to the queue; `owner` is the
    name of who wants it. It enters the queue at `due_at`, is dead unless it starts before
    `expires_at`, and when it starts, has `time_limit` seconds, which makes `deadline`.
    """

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("project", "file", "run_number", name="run_by_number"),
        _where("run_by_start", "started_at", only="started_at IS NOT NULL"),
        _where("run_open", "process", only="state != 'finished'"),
        _where("run_due", "due_at", only="due_at IS NOT NULL"),
        # Most runs have neither, and are not written there.
        _where("run_expiring", "expires_at", only="state = 'queued' AND expires_at IS NOT NULL"),
        _where("run_limited", "deadline", only="state = 'running' AND deadline IS NOT NULL"),
        # All that statistics of the queue read, so that they need no rows.
        _where(
            "run_ended",
            "process",
            "finished_at",
            "result",
            "started_at",
            only="finished_at IS NOT NULL",
        ),
        _where(
            "run_by_key",
            "project",
            "submission_key",
            only="submission_key IS NOT NULL",
            unique=True,
        ),
        {"sqlite_autoincrement": True},
    )

    id: int = Field(primary_key=True)
    project: str
    file: str
    name: str
    run_number: int
    event: str
    process: str
    state: str
    result: str | None
    reason: str
    cancel_requested: bool
    version: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    owner: str = Field(sa_column_kwargs=_default(""))
    queue: str = Field(sa_column_kwargs=_default("default"))
    submission_key: str | None
    due_at: float | None
    expires_at: float | None
    time_limit: float | None
    deadline: float | None
    rerun_of: int | None


class SubmissionRow(SQLModel, table=True):
    """What a run was started with, and its plan, which grows when a matrix becomes known."""

    __tablename__ = "submission"

    run: int = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    text: str
    trigger: str
    contexts: str
    snapshot: str
    options: str
    priority: int
    plan: str
    called: str = Field(sa_column_kwargs=_default("{}"))


class JobRow(SQLModel, table=True):
    """One job of a run. `queued` means runnable now; what waits for a time or a job says so.

    `rank` is what is leased first (smaller), `pool` who may: "" is the process that owns the run,
    else it names the labels that a worker must have. `held` is the limit that the run waits for, or
    what the job waits for in front of its environment.
    """

    __tablename__ = "job"
    __table_args__ = (
        _where("job_ready", "pool", "owner", "rank", "run", "position", only="state = 'queued'"),
        _where("job_due", "due_at", only="state = 'scheduled'"),
        _where("job_leased", "worker", only="state = 'running'"),
        _where("job_held", "held", "owner", "rank", "run", only="held != ''"),
    )

    run: int = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    key: str = Field(primary_key=True)
    job: str
    name: str
    position: int
    pool: str
    state: str
    result: str | None
    reason: str
    failed_softly: bool
    outputs: str
    attempt: int
    cancel_requested: bool
    due_at: float | None
    queued_at: float | None
    finished_at: float | None
    finished_order: int
    worker: str
    token: str
    lease_until: float | None
    rank: float = Field(sa_column_kwargs=_default("0"))
    owner: str = Field(sa_column_kwargs=_default(""))
    held: str = Field(sa_column_kwargs=_default(""))
    losses: int = Field(sa_column_kwargs=_default("0"))
    returns: int = Field(sa_column_kwargs=_default("0"))


class AttemptRow(SQLModel, table=True):
    """One lease of a job."""

    __tablename__ = "attempt"
    __table_args__ = (
        ForeignKeyConstraint(["run", "job"], ["job.run", "job.key"], ondelete="CASCADE"),
    )

    run: int = Field(primary_key=True)
    job: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    worker: str
    image: str
    started_at: float
    finished_at: float | None
    result: str | None
    reason: str


class StepRow(SQLModel, table=True):
    """One step of an attempt; `position` is `file:line:column`."""

    __tablename__ = "step"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run", "job", "attempt"],
            ["attempt.run", "attempt.job", "attempt.number"],
            ondelete="CASCADE",
        ),
    )

    run: int = Field(primary_key=True)
    job: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    id: str
    name: str
    position: str
    started_at: float | None
    finished_at: float | None
    outcome: str | None
    conclusion: str | None
    exit_code: int | None
    reason: str


class PlaceRow(SQLModel, table=True):
    """A place in the line of a concurrency group; those with the lowest `id`s in it hold the group.

    While a place holds it, no more than `capacity` do.

    `name` is the group's with its case folded, `shown` as written. `job` is "" for the run itself,
    and for the pipeline that a call calls the key of the call, followed by " / ".
    """

    __tablename__ = "place"
    __table_args__ = (
        UniqueConstraint("run", "job", name="place_of"),
        Index("place_in_line", "project", "name", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int = Field(primary_key=True)
    project: str
    name: str
    shown: str
    run: int = Field(foreign_key="run.id", ondelete="CASCADE")
    job: str
    capacity: int = Field(sa_column_kwargs=_default("1"))


class ScopeRow(SQLModel, table=True):
    """What limits apply to: everything ("global"), or a project, pipeline, queue or owner.

    `running` counts submitted runs that have started and not ended, `started` those of `day`
    (YYYY-MM-DD, UTC). Only what has a limit or is paused has a row.
    """

    __tablename__ = "scope"

    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    maximum: int | None
    per_day: int | None
    refuses: bool
    paused: bool
    running: int
    day: str
    started: int


class TurnRow(SQLModel, table=True):
    """Owners take turns: whoever was `served` the longest ago (a growing number) comes next."""

    __tablename__ = "turn"

    owner: str = Field(primary_key=True)
    served: int


class WorkerRow(SQLModel, table=True):
    """A process that takes jobs from the queue; `labels` is a JSON list."""

    __tablename__ = "worker"

    name: str = Field(primary_key=True)
    process: str
    host: str
    labels: str
    slots: int
    state: str
    started_at: float
    seen_at: float


class DeadLetterRow(SQLModel, table=True):
    """A submitted run that failed for good, kept until somebody requeues or purges it."""

    __tablename__ = "dead_letter"

    run: int = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    kind: str
    job: str
    error: str
    died_at: float
    requeued_as: int | None


class ScheduleRow(SQLModel, table=True):
    """Up to which moment somebody has seen to it that a schedule's runs were started."""

    __tablename__ = "schedule"

    project: str = Field(primary_key=True)
    file: str = Field(primary_key=True)
    cron: str = Field(primary_key=True)
    timezone: str = Field(primary_key=True)
    handled_until: float


class ReusableRow(SQLModel, table=True):
    """A job that succeeded, by the fingerprint of all that its result depends on.

    It counts until `expires_at`, when the first of its artifacts is gone.
    """

    __tablename__ = "reusable"
    __table_args__ = (Index("reusable_of_run", "run"),)

    project: str = Field(primary_key=True)
    fingerprint: str = Field(primary_key=True)
    run: int = Field(foreign_key="run.id", ondelete="CASCADE")
    job: str
    expires_at: float | None


class IdentityRow(SQLModel, table=True):
    """What the database is called by its machines: one row, made when somebody first asks."""

    __tablename__ = "identity"

    name: str = Field(primary_key=True)


class AnnotationRow(SQLModel, table=True):
    """A finding about a place in the user's files."""

    __tablename__ = "annotation"
    __table_args__ = (Index("annotation_of_run", "run", "job"),)

    id: int = Field(primary_key=True)
    run: int = Field(foreign_key="run.id", ondelete="CASCADE")
    job: str
    attempt: int
    step: int
    level: str
    message: str
    title: str
    file: str
    line: int
    end_line: int
    column: int
    end_column: int


class EventRow(SQLModel, table=True):
    """What happened, in order; `seq` is never reused, so that a reader can continue after one."""

    __tablename__ = "event"
    __table_args__ = (Index("event_of_run", "run", "seq"), {"sqlite_autoincrement": True})

    seq: int = Field(primary_key=True)
    run: int = Field(foreign_key="run.id", ondelete="CASCADE")
    job: str
    attempt: int
    time: float
    kind: str
    data: str


class ApprovalRow(SQLModel, table=True):
    """What a person said about a job that waited in front of its environment, or went on in it.

    `verdict` is approved or rejected.
    """

    __tablename__ = "approval"
    __table_args__ = (Index("approval_of_run", "run", "job"), {"sqlite_autoincrement": True})

    id: int = Field(primary_key=True)
    run: int = Field(foreign_key="run.id", ondelete="CASCADE")
    job: str
    environment: str
    name: str
    verdict: str
    comment: str
    time: float


class AdmissionRow(SQLModel, table=True):
    """A job was let into an environment, whose name has its case folded: quotas count that."""

    __tablename__ = "admission"
    __table_args__ = (Index("admission_to", "project", "environment", "time"),)

    run: int = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    job: str = Field(primary_key=True)
    project: str
    environment: str
    time: float


class ReleaseRow(SQLModel, table=True):
    """An immutable version of an application in an environment; `number` counts them.

    `definition` is the `deploy` step that made it and `settings` those of its target, with secrets
    as `${{ secrets.NAME }}`. `state` is candidate, good, bad or pruned.
    """

    __tablename__ = "release"

    application: str = Field(primary_key=True)
    environment: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    version: str
    digest: str
    commit_sha: str
    definition: str
    settings: str
    state: str
    created_at: float
    created_by: str


class DeploymentRow(SQLModel, table=True):
    """One attempt to make a release live, `kind` deploy or rollback; `key` names the step.

    `course` is what it does, move by move; `cause` is the deployment that a rollback undoes,
    `previous` the release that was live before. `deadline` is in seconds since the epoch.
    """

    __tablename__ = "deployment"
    __table_args__ = (
        Index("deployment_of", "application", "environment", "id"),
        Index("deployment_of_run", "run", "environment"),
        _where("deployment_open", "application", "environment", only="finished_at IS NULL"),
        {"sqlite_autoincrement": True},
    )

    id: int = Field(primary_key=True)
    application: str
    environment: str
    release: int
    previous: int | None
    kind: str
    cause: int | None
    key: str = Field(unique=True)
    run: int
    job: str
    step: str
    owner: str
    why: str
    state: str
    reason: str
    message: str
    course: str
    created_at: float
    deadline: float
    finished_at: float | None


class JournalRow(SQLModel, table=True):
    """What a deployment is about to do, and what came of it; `move` counts its moves from 0."""

    __tablename__ = "journal"
    __table_args__ = (Index("journal_of", "deployment", "seq"), {"sqlite_autoincrement": True})

    seq: int = Field(primary_key=True)
    deployment: int = Field(foreign_key="deployment.id", ondelete="CASCADE")
    move: int
    kind: str
    data: str
    time: float


class LiveRow(SQLModel, table=True):
    """Which release of an application is live in an environment, and who may change that.

    `holder` is the deployment that does, for as long as its process lives and `expires_at` is not
    over; `token` grows with every holder.
    """

    __tablename__ = "live"

    application: str = Field(primary_key=True)
    environment: str = Field(primary_key=True)
    release: int | None
    token: int
    holder: int | None
    process: str
    expires_at: float


class DeliveryTurnRow(SQLModel, table=True):
    """A deployment that waits for the one before it; `seen_at` tells that somebody still does."""

    __tablename__ = "delivery_turn"
    __table_args__ = (
        Index("delivery_turn_of", "application", "environment", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int = Field(primary_key=True)
    application: str
    environment: str
    deployment: int
    process: str
    seen_at: float


class EnvironmentLockRow(SQLModel, table=True):
    """An environment that a person keeps deployments away from, until somebody unlocks it."""

    __tablename__ = "environment_lock"

    environment: str = Field(primary_key=True)
    owner: str
    message: str
    locked_at: float


class SnapshotRow(SQLModel, table=True):
    """What was kept of an application in an environment while `release` was live there.

    `id` begins with the time. `kind` is before or after a deployment, or manual; `state` is making
    or kept. Its folder is on the machine `host`.
    """

    __tablename__ = "snapshot"
    __table_args__ = (Index("snapshot_of", "application", "environment", "id"),)

    id: str = Field(primary_key=True)
    application: str
    environment: str
    release: int | None
    deployment: int
    kind: str
    description: str
    state: str
    host: str
    created_at: float
    created_by: str
    size: int


class OutboxRow(SQLModel, table=True):
    """Something that people are to be told, with the settings of the notifier that tells them.

    `due_at` is when it is tried next; nothing when it was sent, or given up for its `error`.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        _where("outbox_due", "due_at", only="due_at IS NOT NULL"),
        Index("outbox_of", "deployment"),
    )

    id: str = Field(primary_key=True)
    deployment: int
    notifier: str
    settings: str
    kind: str
    text: str
    data: str
    created_at: float
    due_at: float | None
    attempts: int
    error: str
    sent_at: float | None


class AuditRow(SQLModel, table=True):
    """Who did what; `hash` is that of the row and the hash of the one before it, `previous`."""

    __tablename__ = "audit"

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    time: float
    who: str
    action: str
    subject: str
    previous: str
    hash: str


METADATA = SQLModel.metadata
