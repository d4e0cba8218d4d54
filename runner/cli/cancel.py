"""`pipe cancel RUN`: from any terminal."""

import click

from runner.cli.history import open_store
from runner.cli.run_number import RUN_NUMBER


@click.command("cancel", short_help="Ask a run to stop.")
@click.argument("run", type=RUN_NUMBER)
def command(run: int) -> None:
    """Ask RUN to stop: its steps end, those with `if: always()` still run.

    One that was submitted and has not started ends at once.
    """
    from runner import queue
    from runner.store import hot

    with open_store() as store:
        before = hot.load_run(store.notes, run)
        if before.state == "finished":
            click.echo(f"run {run} has ended already")
            return
        queue.cancel(store, run, store.now())
        has_ended = hot.load_run(store.notes, run).state == "finished"
    if has_ended:
        _let_go(before.submission.snapshot)
    click.echo(f"run {run} is cancelled" if has_ended else f"run {run} is asked to stop")


def _let_go(snapshot: object) -> None:
    from runner.cli.storage import open_storage
    from runner.project import unpin_snapshot

    if isinstance(snapshot, dict) and snapshot.get("pin"):
        unpin_snapshot(snapshot, open_storage().folder)
