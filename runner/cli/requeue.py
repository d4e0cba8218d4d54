"""`pipe queue requeue`: runs that failed for good are queued again."""

import json
from typing import Any

import click

from runner.cli.history import open_store
from runner.cli.letters import Filters, chosen, filter_options
from runner.cli.run_number import RUN_NUMBER
from runner.cli.storage import open_storage
from runner.errors import EXIT_RUN_FAILED
from runner.terminal.words import visible


@click.command("requeue", short_help="Queue dead letters again.")
@click.argument("named", nargs=-1, type=RUN_NUMBER, metavar="RUN...")
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--from-start", is_flag=True, help="Run what succeeded again, too.")
@click.option("--json", "as_json", is_flag=True, help="Old and new numbers as a JSON object.")
@click.pass_context
def requeue(
    context: click.Context,
    /,
    named: tuple[int, ...],
    everything: bool,
    from_start: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Queue dead letters again: each RUN, or none if one cannot be; or those that filters name.

    A new run has the same pipeline, inputs and source. It takes over the jobs that succeeded, and
    their artifacts. Prints the number of each old run and its new one.
    """
    from runner.cli.requeueing import requeue as requeue_all

    storage = open_storage()
    with open_store() as store:
        runs = chosen(store, named, Filters(**filters), everything=everything)
        done = requeue_all(store, storage, runs, from_start=from_start, strict=bool(named))
    if as_json:
        click.echo(json.dumps(done.runs))
    elif not runs:
        click.echo("there are no such dead letters")
    for old, new in () if as_json else done.runs.items():
        click.echo(f"run {old} is queued again as run {new}")
    for run, why in done.refused.items():
        click.echo(f"warning: run {run} stays: {visible(why)}", err=True)
    context.exit(EXIT_RUN_FAILED if done.refused else 0)
