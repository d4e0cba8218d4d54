"""`pipe cancel RUN`: from any terminal."""

from collections.abc import Mapping
from typing import Any

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
    from runner.store import reads

    with open_store() as store:
        if reads.run(store, run).run.state == "finished":
            click.echo(f"run {run} has ended already")
            return
        queue.cancel(store, run, store.now())
        has_ended = queue.is_over(store, run)
        snapshot = reads.snapshot(store, run)
    if has_ended:
        _let_go(snapshot)
    click.echo(f"run {run} is cancelled" if has_ended else f"run {run} is asked to stop")


def _let_go(snapshot: Mapping[str, Any]) -> None:
    from runner.cli.storage import open_storage
    from runner.project import unpin_snapshot

    if snapshot.get("pin"):
        unpin_snapshot(snapshot, open_storage().folder)
