"""The texts of the pipelines that a run calls."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "submission", sa.Column("called", sa.String(), nullable=False, server_default="{}")
    )
