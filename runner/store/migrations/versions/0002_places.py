"""The lines of concurrency groups."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "place",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("shown", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.UniqueConstraint("run", "job", name="place_of"),
        sa.ForeignKeyConstraint(["run"], ["run.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("place_in_line", "place", ["project", "name", "id"])
