"""`pipe queue dead` and `purge`: runs that failed for good, why, and throwing them away."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, table
from runner.cli.letters import Filters, chosen, filter_options, letter_of, listed
from runner.cli.run_number import RUN_NUMBER
from runner.cli.storage import open_storage
from runner.terminal.words import counted, shortened, visible

if TYPE_CHECKING:
    from runner.store.dead import Letter

_WIDEST_ERROR = 72


@click.command("dead", short_help="List runs that failed for good, or all about one.")
@click.argument("run", required=False, type=RUN_NUMBER)
@filter_options
@click.option("--requeued", is_flag=True, help="Also those that went on as another run.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def dead(run: int | None, requeued: bool, as_json: bool, **filters: Any) -> None:
    """List submitted runs that failed for good, the newest first; with RUN, tell all about that.

    They are kept, with their source, until `pipe queue requeue` or `purge`.
    """
    if run is not None:
        _tell(run, as_json=as_json)
        return
    with open_store() as store:
        found = listed(store, Filters(**filters), requeued=requeued)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    elif not found:
        click.echo("there are no such dead letters")
    else:
        head = ("RUN", "WHEN", "KIND", "PIPELINE", "JOB", "ERROR")
        click.echo(table([head, *map(_row, found)]))


@click.command("purge", short_help="Throw dead letters away.")
@click.argument("named", nargs=-1, type=RUN_NUMBER, metavar="RUN...")
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them.")
def purge(named: tuple[int, ...], everything: bool, **filters: Any) -> None:
    """Throw dead letters away: of each RUN, of those that the filters name, or all, also those
    that went on as another run.

    The runs stay in `pipe runs`, but their source is not kept for them any longer.
    """
    from runner.project import unpin_snapshot
    from runner.store import dead as letters

    storage = open_storage()
    with open_store() as store:
        doomed = chosen(store, named, Filters(**filters), everything=everything, requeued=True)
        for run in doomed:
            snapshot = letters.purge(store.promises, run)
            if snapshot:
                unpin_snapshot(snapshot, storage.folder)
    click.echo(f"{counted(len(doomed), 'dead letter')} purged")


def _row(letter: "Letter") -> tuple[str, ...]:
    error = shortened(visible(letter.error), _WIDEST_ERROR)
    again = f" (requeued as run {letter.requeued_as})" if letter.requeued_as else ""
    return (
        str(letter.run),
        moment(letter.died_at),
        letter.kind,
        visible(f"{letter.name} ({letter.file})"),
        visible(letter.job),
        f"{error}{again}",
    )


def _tell(run: int, *, as_json: bool) -> None:
    from runner.cli.autopsy import as_text, findings, to_json
    from runner.store import reads

    storage = open_storage()
    with open_store() as store:
        letter = letter_of(store, run)
        found = findings(letter, reads.run(store, run), storage)
    click.echo(json.dumps(to_json(found), indent=2) if as_json else as_text(found))
