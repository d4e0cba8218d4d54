"""`pipe cancel RUN`: from any terminal."""

import click

from runner.cli.history import open_store
from runner.cli.run_number import RUN_NUMBER


@click.command("cancel", short_help="Ask a run to stop.")
@click.argument("run", type=RUN_NUMBER)
def command(run: int) -> None:
    """Ask RUN to stop: its steps end, those with `if: always()` still run."""
    from runner import queue
    from runner.store import reads

    with open_store() as store:
        if reads.run(store, run).run.state == "finished":
            click.echo(f"run {run} has ended already")
            return
        queue.cancel(store, run, store.now())
    click.echo(f"run {run} is asked to stop")
