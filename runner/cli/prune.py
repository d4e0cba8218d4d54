"""`pipe prune`: forgets old runs, and frees what nothing needs any more."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from runner.cli.duration import DURATION
from runner.cli.history import open_store
from runner.terminal.words import size

if TYPE_CHECKING:
    from runner.store import Store

#: Runs that are forgotten in one transaction, so that others can write in between.
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went: runs, bytes of logs, artifacts and caches, and images that were built here."""

    runs: int
    bytes: int
    images: int


@click.command("prune", short_help="Forget old runs, and free what nothing needs.")
@click.option(
    "--older-than",
    "age",
    type=DURATION,
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Runs that ended before that long ago.",
)
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="The newest runs that stay, however old.",
)
@click.option("--dry-run", is_flag=True, help="Tell which runs would go, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(age: float, keep: int, dry_run: bool, as_json: bool) -> None:
    """Forget runs with their logs and artifacts; remove unused caches, copies of sources and images.

    Runs that go on stay, and so do dead letters until they are requeued or purged.
    """
    from runner.store.pruning import Age, old_runs

    with open_store() as store:
        runs = old_runs(store.notes, Age(store.now() - age, keep))
        if dry_run:
            click.echo(json.dumps(runs) if as_json else _named(runs))
            return
        pruned = _prune(store, runs)
    text = f"removed {pruned.runs} runs, {size(pruned.bytes)}, {pruned.images} images"
    click.echo(json.dumps(asdict(pruned)) if as_json else text)


def _named(runs: Sequence[int]) -> str:
    return (
        f"would remove {len(runs)} runs: {', '.join(map(str, runs))}" if runs else "nothing to do"
    )


def _prune(store: "Store", runs: Sequence[int]) -> Pruned:
    from runner.cli.storage import open_storage
    from runner.project import prune_snapshots
    from runner.store.pruning import needed_snapshots, offer_no_more, remove

    storage = open_storage()
    before = storage.sizes()
    for batch in _batches(runs):
        offer_no_more(store.promises, batch)
        # Files first: what a crash leaves in the database is pruned again.
        for run in batch:
            storage.forget(run)
        remove(store.promises, batch)
    pins = {json.loads(each).get("pin", "") for each in needed_snapshots(store.notes)}
    prune_snapshots(storage.folder, pins - {""}, store.now())
    storage.sweep(store.now())
    after = storage.sizes()
    freed = before.logs + before.stored - after.logs - after.stored
    return Pruned(len(runs), max(0, freed), _remove_images())


def _batches(runs: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(runs), _BATCH):
        yield runs[start : start + _BATCH]


def _remove_images() -> int:
    """Images that were built for jobs; without an engine there is nothing to remove."""
    from runner.engines.docker import DockerEngine
    from runner.errors import EnvironmentMissingError
    from runner.project import home_folder

    engine = DockerEngine(home_folder())
    try:
        return engine.remove_built_images()
    except EnvironmentMissingError:
        return 0
    finally:
        engine.finish()
