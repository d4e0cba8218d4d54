"""What deployments need: releases, their journals, what is live, who waits, who let whom in.

Indexes of runs leave out those that they are not for: each that a run is in costs its commits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _create_releases()
    _create_deployments()
    _create_live()
    _create_environment_locks()
    _create_snapshots()
    _create_outbox()
    _create_audit()
    _shorten_indexes_of_runs()
    _create_approvals()


def _create_releases() -> None:
    op.create_table(
        "release",
        sa.Column("application", sa.String(), primary_key=True),
        sa.Column("environment", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("commit_sha", sa.String(), nullable=False),
        sa.Column("definition", sa.String(), nullable=False),
        sa.Column("settings", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
    )


def _create_deployments() -> None:
    op.create_table(
        "deployment",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("application", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer()),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cause", sa.Integer()),
        sa.Column("key", sa.String(), nullable=False, unique=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("course", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("deadline", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float()),
        sqlite_autoincrement=True,
    )
    op.create_index("deployment_of", "deployment", ["application", "environment", "id"])
    op.create_index("deployment_of_run", "deployment", ["run", "environment"])
    condition = sa.text("finished_at IS NULL")
    op.create_index(
        "deployment_open",
        "deployment",
        ["application", "environment"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("deployment", sa.Integer(), nullable=False),
        sa.Column("move", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["deployment"], ["deployment.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("journal_of", "journal", ["deployment", "seq"])


def _create_live() -> None:
    op.create_table(
        "live",
        sa.Column("application", sa.String(), primary_key=True),
        sa.Column("environment", sa.String(), primary_key=True),
        sa.Column("release", sa.Integer()),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Integer()),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "delivery_turn",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("application", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("deployment", sa.Integer(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("delivery_turn_of", "delivery_turn", ["application", "environment", "id"])


def _create_environment_locks() -> None:
    op.create_table(
        "environment_lock",
        sa.Column("environment", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("locked_at", sa.Float(), nullable=False),
    )


def _create_snapshots() -> None:
    op.create_table(
        "snapshot",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("application", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("release", sa.Integer()),
        sa.Column("deployment", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
    )
    op.create_index("snapshot_of", "snapshot", ["application", "environment", "id"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("deployment", sa.Integer(), nullable=False),
        sa.Column("notifier", sa.String(), nullable=False),
        sa.Column("settings", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("sent_at", sa.Float()),
    )
    condition = sa.text("due_at IS NOT NULL")
    op.create_index(
        "outbox_due", "outbox", ["due_at"], sqlite_where=condition, postgresql_where=condition
    )
    op.create_index("outbox_of", "outbox", ["deployment"])


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
    )


def _shorten_indexes_of_runs() -> None:
    for name, column, condition in (
        ("run_by_start", "started_at", "started_at IS NOT NULL"),
        ("run_expiring", "expires_at", "state = 'queued' AND expires_at IS NOT NULL"),
        ("run_limited", "deadline", "state = 'running' AND deadline IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.drop_index(name, "run")
        op.create_index(name, "run", [column], sqlite_where=where, postgresql_where=where)


def _create_approvals() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("approval_of_run", "approval", ["run", "job"])
    op.create_table(
        "admission",
        sa.Column("run", sa.Integer(), primary_key=True),
        sa.Column("job", sa.String(), primary_key=True),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
    )
    op.create_index("admission_to", "admission", ["project", "environment", "time"])
