"""What a durable queue needs: owners, limits, turns, workers, dead letters, schedules, sources."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _extend_runs()
    _extend_jobs()
    op.add_column("place", sa.Column("capacity", sa.Integer(), nullable=False, server_default="1"))
    _create_limits()
    _create_workers()
    _create_dead_letters()
    _create_schedules()
    _create_reusable_results()
    op.create_table("identity", sa.Column("name", sa.String(), primary_key=True))


def _extend_runs() -> None:
    op.drop_index("run_open", "run")
    op.execute("ALTER TABLE run RENAME COLUMN owner TO process")
    for name, default in (("owner", ""), ("queue", "default")):
        op.add_column("run", sa.Column(name, sa.String(), nullable=False, server_default=default))
    op.add_column("run", sa.Column("submission_key", sa.String()))
    for name in ("due_at", "expires_at", "time_limit", "deadline"):
        op.add_column("run", sa.Column(name, sa.Float()))
    op.add_column("run", sa.Column("rerun_of", sa.Integer()))
    op.create_index("run_by_start", "run", ["started_at"])
    _create_index("run_open", "run", ["process"], "state != 'finished'")
    _create_index("run_due", "run", ["due_at"], "due_at IS NOT NULL")
    _create_index("run_expiring", "run", ["expires_at"], "state = 'queued'")
    _create_index("run_limited", "run", ["deadline"], "state = 'running'")
    _create_index(
        "run_ended",
        "run",
        ["process", "finished_at", "result", "started_at"],
        "finished_at IS NOT NULL",
    )
    _create_index(
        "run_by_key",
        "run",
        ["project", "submission_key"],
        "submission_key IS NOT NULL",
        unique=True,
    )


def _extend_jobs() -> None:
    op.drop_index("job_ready", "job")
    op.execute("ALTER TABLE job RENAME COLUMN queue TO pool")
    op.drop_column("job", "rank")
    op.add_column("job", sa.Column("rank", sa.Float(), nullable=False, server_default="0"))
    for name in ("owner", "held"):
        op.add_column("job", sa.Column(name, sa.String(), nullable=False, server_default=""))
    for name in ("losses", "returns"):
        op.add_column("job", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    ready = ["pool", "owner", "rank", "run", "position"]
    _create_index("job_ready", "job", ready, "state = 'queued'")
    _create_index("job_held", "job", ["held", "owner", "rank", "run"], "held != ''")


def _create_limits() -> None:
    op.create_table(
        "scope",
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("maximum", sa.Integer()),
        sa.Column("per_day", sa.Integer()),
        sa.Column("refuses", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("started", sa.Integer(), nullable=False),
    )
    op.execute(
        "INSERT INTO scope (kind, name, maximum, refuses, paused, running, day, started)"
        " VALUES ('queue', 'deployments', 5, false, false, 0, '', 0)"
    )
    op.create_table(
        "turn",
        sa.Column("owner", sa.String(), primary_key=True),
        sa.Column("served", sa.Integer(), nullable=False),
    )


def _create_workers() -> None:
    op.create_table(
        "worker",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("labels", sa.String(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("run", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("died_at", sa.Float(), nullable=False),
        sa.Column("requeued_as", sa.Integer()),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
    )


def _create_schedules() -> None:
    op.create_table(
        "schedule",
        sa.Column("project", sa.String(), primary_key=True),
        sa.Column("file", sa.String(), primary_key=True),
        sa.Column("cron", sa.String(), primary_key=True),
        sa.Column("timezone", sa.String(), primary_key=True),
        sa.Column("handled_until", sa.Float(), nullable=False),
    )


def _create_reusable_results() -> None:
    op.create_table(
        "reusable",
        sa.Column("project", sa.String(), primary_key=True),
        sa.Column("fingerprint", sa.String(), primary_key=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
    )
    op.create_index("reusable_of_run", "reusable", ["run"])


def _create_index(
    name: str, table: str, columns: list[str], condition: str, *, unique: bool = False
) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)
