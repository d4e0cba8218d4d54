"""What Alembic runs: migrates the connection that it is handed, in that one's transaction."""

from alembic import context

from runner.store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.METADATA,
    render_as_batch=True,
)
context.run_migrations()
