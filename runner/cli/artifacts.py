"""`pipe artifacts RUN`: what a run left, and one of it as files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.history import moment, open_store, table
from runner.cli.run_number import RUN_NUMBER
from runner.cli.storage import open_storage
from runner.errors import InvalidInputError, did_you_mean
from runner.terminal.words import counted, size, visible

if TYPE_CHECKING:
    from runner.storage import Artifact, Storage


@click.command("artifacts", short_help="List the artifacts of a run, or unpack one.")
@click.argument("run", type=RUN_NUMBER)
@click.argument("name", required=False)
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="Unpack NAME into this folder, which is new or empty; NAME in the current one by default.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(run: int, name: str | None, to: Path | None, as_json: bool) -> None:
    """List what RUN, by its number, has stored; with NAME, unpack that artifact."""
    from runner.store import reads

    if to is not None and name is None:
        raise InvalidInputError("`--to` needs the name of an artifact")
    with open_store() as store:
        reads.run(store, run)
    storage = open_storage()
    storage.tidy()
    found = storage.artifacts.of_run(run)
    if name is not None:
        _unpack(storage, _named(name, found, run), to or Path(name))
    elif as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        click.echo(_listed(found) if found else f"run {run} has no artifacts")


def _unpack(storage: "Storage", artifact: "Artifact", folder: Path) -> None:
    from runner.storage.unpack import unpack

    unpack(storage.artifacts.read(artifact), folder)
    content = f"{counted(artifact.files, 'file')}, {size(artifact.size)}"
    click.echo(f"{visible(artifact.name)} is in {folder} ({content})")


def _named(name: str, found: list["Artifact"], run: int) -> "Artifact":
    for artifact in found:
        if artifact.name == name:
            return artifact
    names = [each.name for each in found]
    listed = f"it has {', '.join(names)}" if names else "it has none"
    raise InvalidInputError(
        f"run {run} has no artifact `{name}`", hint=visible(did_you_mean(name, names) or listed)
    )


def _listed(found: list["Artifact"]) -> str:
    head = ("NAME", "FILES", "SIZE", "EXPIRES", "SHA-256")
    rows = [
        (
            visible(each.name),
            str(each.files),
            size(each.size),
            moment(each.expires),
            each.digest,
        )
        for each in found
    ]
    return table([head, *rows])
