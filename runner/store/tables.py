"""The tables as SQLModel classes: what migrations are made from and what listings are read with.

JSON is kept as text, times are seconds since the epoch, and a job is named by its run and its key.
"""

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel


def _where(name: str, *columns: str, state: str) -> Index:
    """An index of only those rows whose state matters to the query that it serves."""
    condition = text(state)
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


class PipelineRow(SQLModel, table=True):
    """A pipeline file of a project, and how many runs it has had."""

    __tablename__ = "pipeline"

    project: str = Field(primary_key=True)
    file: str = Field(primary_key=True)
    runs: int


class RunRow(SQLModel, table=True):
    """One execution of a pipeline; `version` counts changes, so that a stale one is noticed."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("project", "file", "run_number", name="run_by_number"),
        _where("run_open", "owner", state="state != 'finished'"),
        {"sqlite_autoincrement": True},
    )

    id: int = Field(primary_key=True)
    project: str
    file: str
    name: str
    run_number: int
    event: str
    owner: str
    state: str
    result: str | None
    reason: str
    cancel_requested: bool
    version: int
    created_at: float
    started_at: float | None
    finished_at: float | None


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
    called: str = Field(sa_column_kwargs={"server_default": "{}"})


class JobRow(SQLModel, table=True):
    """One job of a run. `queued` means runnable now; what waits for a time or a job says so.

    `rank` is what is leased first (smaller), `queue` who may: "" is the process that owns the run.
    """

    __tablename__ = "job"
    __table_args__ = (
        _where("job_ready", "queue", "rank", "run", "position", state="state = 'queued'"),
        _where("job_due", "due_at", state="state = 'scheduled'"),
        _where("job_leased", "worker", state="state = 'running'"),
    )

    run: int = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    key: str = Field(primary_key=True)
    job: str
    name: str
    position: int
    queue: str
    rank: int
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
    """A place in the line of a concurrency group; whoever has the lowest `id` in it holds the group.

    `name` is the group's with its case folded, `shown` as written. `job` is "" for the run itself.
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


METADATA = SQLModel.metadata
