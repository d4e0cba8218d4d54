"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_runs()
    _create_jobs()
    _create_attempts()
    _create_events()


def _create_runs() -> None:
    op.create_table(
        "pipeline",
        sa.Column("project", sa.String(), primary_key=True),
        sa.Column("file", sa.String(), primary_key=True),
        _integer("runs"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("project"),
        _text("file"),
        _text("name"),
        _integer("run_number"),
        _text("event"),
        _text("owner"),
        _text("state"),
        sa.Column("result", sa.String()),
        _text("reason"),
        _boolean("cancel_requested"),
        _integer("version"),
        _time("created_at", nullable=False),
        _time("started_at"),
        _time("finished_at"),
        sa.UniqueConstraint("project", "file", "run_number", name="run_by_number"),
        sqlite_autoincrement=True,
    )
    _create_partial_index("run_open", "run", ["owner"], "state != 'finished'")
    op.create_table(
        "submission",
        sa.Column("run", sa.Integer(), primary_key=True),
        _text("text"),
        _text("trigger"),
        _text("contexts"),
        _text("snapshot"),
        _text("options"),
        _integer("priority"),
        _text("plan"),
        _of_run(),
    )


def _create_jobs() -> None:
    op.create_table(
        "job",
        sa.Column("run", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(), primary_key=True),
        _text("job"),
        _text("name"),
        _integer("position"),
        _text("queue"),
        _integer("rank"),
        _text("state"),
        sa.Column("result", sa.String()),
        _text("reason"),
        _boolean("failed_softly"),
        _text("outputs"),
        _integer("attempt"),
        _boolean("cancel_requested"),
        _time("due_at"),
        _time("queued_at"),
        _time("finished_at"),
        _integer("finished_order"),
        _text("worker"),
        _text("token"),
        _time("lease_until"),
        _of_run(),
    )
    _create_partial_index(
        "job_ready", "job", ["queue", "rank", "run", "position"], "state = 'queued'"
    )
    _create_partial_index("job_due", "job", ["due_at"], "state = 'scheduled'")
    _create_partial_index("job_leased", "job", ["worker"], "state = 'running'")


def _create_attempts() -> None:
    op.create_table(
        "attempt",
        sa.Column("run", sa.Integer(), primary_key=True),
        sa.Column("job", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        _text("worker"),
        _text("image"),
        _time("started_at", nullable=False),
        _time("finished_at"),
        sa.Column("result", sa.String()),
        _text("reason"),
        sa.ForeignKeyConstraint(["run", "job"], ["job.run", "job.key"], ondelete="CASCADE"),
    )
    op.create_table(
        "step",
        sa.Column("run", sa.Integer(), primary_key=True),
        sa.Column("job", sa.String(), primary_key=True),
        sa.Column("attempt", sa.Integer(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        _text("id"),
        _text("name"),
        _text("position"),
        _time("started_at"),
        _time("finished_at"),
        sa.Column("outcome", sa.String()),
        sa.Column("conclusion", sa.String()),
        sa.Column("exit_code", sa.Integer()),
        _text("reason"),
        sa.ForeignKeyConstraint(
            ["run", "job", "attempt"],
            ["attempt.run", "attempt.job", "attempt.number"],
            ondelete="CASCADE",
        ),
    )


def _create_events() -> None:
    op.create_table(
        "annotation",
        sa.Column("id", sa.Integer(), primary_key=True),
        _integer("run"),
        _text("job"),
        _integer("attempt"),
        _integer("step"),
        _text("level"),
        _text("message"),
        _text("title"),
        _text("file"),
        _integer("line"),
        _integer("end_line"),
        _integer("column"),
        _integer("end_column"),
        _of_run(),
    )
    op.create_index("annotation_of_run", "annotation", ["run", "job"])
    op.create_table(
        "event",
        sa.Column("seq", sa.Integer(), primary_key=True),
        _integer("run"),
        _text("job"),
        _integer("attempt"),
        _time("time", nullable=False),
        _text("kind"),
        _text("data"),
        _of_run(),
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_run", "event", ["run", "seq"])


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _boolean(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _time(name: str, *, nullable: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=nullable)


def _of_run() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE")


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
