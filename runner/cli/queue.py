"""`pipe queue`: what is in the queue of submitted runs, and the commands that operate it."""

import json

import click

from runner.cli.dead import dead, purge
from runner.cli.history import open_store
from runner.cli.limiting import limit, pause, resume
from runner.cli.requeue import requeue


@click.group(
    "queue", invoke_without_command=True, short_help="Show the queue; its limits and dead letters."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(context: click.Context, /, as_json: bool) -> None:
    """Show what waits and what runs, workers, limits, dead letters, and how it went lately.

    It counts submitted runs alone: `pipe run` does not stand in the queue.
    """
    if context.invoked_subcommand is not None:
        return
    from runner.cli.queue_state import as_text, read_state, to_json

    with open_store() as store:
        state = read_state(store, store.now())
    click.echo(json.dumps(to_json(state), indent=2) if as_json else as_text(state))


for each in (limit, pause, resume, dead, requeue, purge):
    command.add_command(each)
