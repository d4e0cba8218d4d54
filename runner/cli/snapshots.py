"""`pipe snapshots`: what is kept of environments, and bringing it back."""

import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.delivering import (
    environment_secrets,
    host_option,
    only_application,
    opened_desk,
    outside,
)
from runner.cli.history import moment, open_store, table
from runner.cli.options import secret_options
from runner.cli.signals import signals_ask
from runner.errors import EXIT_CANCELLED, EXIT_RUN_FAILED, InvalidInputError, RefusedError
from runner.terminal.words import shortened, size, visible

if TYPE_CHECKING:
    from runner.delivery.definition import Use
    from runner.delivery.order import Desk
    from runner.store import Store
    from runner.store.kept import SnapshotRecord

_WIDEST = 40
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("snapshots", short_help="Keep files and data of environments, and restore them.")
def command() -> None:
    """Keep files and data of environments, and restore them."""


@command.command("list", short_help="List what is kept.")
@click.argument("environment", required=False)
@click.option("--application", metavar="NAME", help="Only of this application.")
@_json
def list_(environment: str | None, application: str | None, as_json: bool) -> None:
    """List all snapshots, or those of ENVIRONMENT, the newest first."""
    from runner.store import kept

    with open_store() as store:
        found = kept.snapshots(store.promises, application, environment)[::-1]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    elif not found:
        click.echo("nothing is kept" + (f" of {environment}" if environment else ""))
    else:
        head = (
            "ID",
            "KIND",
            "APPLICATION",
            "ENVIRONMENT",
            "RELEASE",
            "SIZE",
            "WHEN",
            "BY",
            "ABOUT",
        )
        click.echo(table([head, *map(_row, found)]))


@command.command("create", short_help="Keep something now.")
@click.argument("environment")
@click.argument("file", required=False, metavar="FILE")
@click.option("--application", metavar="NAME", help="Needed where several are deployed.")
@click.option("--description", default="", metavar="TEXT", help="What it is made for.")
@secret_options
@host_option
@_json
def create(
    environment: str,
    file: str | None,
    application: str | None,
    description: str,
    host: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Keep of ENVIRONMENT what is listed in FILE under `snapshot:`; without FILE, what deployments
    of the release that is live there keep."""
    from runner.delivery import restoring
    from runner.delivery.contained import FailedError
    from runner.store.deliveries import Subject

    secrets = environment_secrets(environment, given)
    with opened_desk() as desk:
        subject = Subject(application or only_application(desk, environment), environment)
        uses = _read(file, desk, secrets) if file else _as_deployed(desk, subject, secrets)
        around = outside(desk, secrets, host=host, quiet=as_json)
        who = getpass.getuser()
        try:
            with signals_ask(around.stop):
                made = restoring.create(
                    desk,
                    subject,
                    uses,
                    around,
                    secrets,
                    description=description,
                    who=who,
                    keep=_keep(environment),
                )
        except FailedError as error:
            raise RefusedError(error.message) from error
    if as_json:
        click.echo(json.dumps(asdict(made), indent=2))


@command.command("verify", short_help="Check whether one can be restored.")
@click.argument("snapshot", metavar="ID")
@secret_options
@host_option
@_json
@click.pass_context
def verify(
    context: click.Context, /, snapshot: str, host: bool, as_json: bool, **given: Any
) -> None:
    """Check that nothing of the snapshot ID is gone or changed, and that it could be restored."""
    from runner.delivery import restoring
    from runner.delivery.contained import FailedError

    with opened_desk() as desk:
        record = _known(desk.store, snapshot)
        secrets = environment_secrets(record.environment, given)
        around = outside(desk, secrets, host=host, quiet=as_json)
        try:
            problems = restoring.verify(desk, record, around, secrets)
        except FailedError as error:
            problems = [error.message]
    if as_json:
        click.echo(json.dumps({"snapshot": record.id, "problems": problems}, indent=2))
    else:
        click.echo("\n".join(map(visible, problems)) or f"snapshot {record.id} is intact")
    if problems:
        context.exit(EXIT_RUN_FAILED)


@command.command("restore", short_help="Bring back what one holds.")
@click.argument("snapshot", metavar="ID")
@click.argument("parts", nargs=-1, metavar="[PART]...")
@click.option("--data", is_flag=True, help="Also data of users, which replaces that of today.")
@secret_options
@host_option
@_json
@click.pass_context
def restore(
    context: click.Context,
    /,
    snapshot: str,
    parts: tuple[str, ...],
    data: bool,
    host: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Bring back what the snapshot ID holds, or those PARTs of it (`1-files`, or `files` for all
    of that kind), when no deployment is at work."""
    from runner.delivery import restoring

    with opened_desk() as desk:
        record = _known(desk.store, snapshot)
        secrets = environment_secrets(record.environment, given)
        around = outside(desk, secrets, host=host, quiet=as_json)
        with signals_ask(around.stop):
            ending = restoring.restore(
                desk, record, around, secrets, parts=parts, data=data, who=getpass.getuser()
            )
    if as_json:
        click.echo(json.dumps(asdict(ending), indent=2))
    if ending.state != "succeeded":
        context.exit(EXIT_CANCELLED if ending.state == "cancelled" else EXIT_RUN_FAILED)


def _keep(environment: str) -> int:
    """How many the project that this folder is in keeps there."""
    from runner.delivery.keeping import KEEP
    from runner.environments import of_name
    from runner.project import find_project

    known = of_name(find_project(Path()).config.environments, environment, None)
    return (known.snapshots if known else None) or KEEP


def _known(store: "Store", id_: str) -> "SnapshotRecord":
    """By its id, or a beginning that only one has. Raises InvalidInputError."""
    from runner.store import kept

    found = [each for each in kept.snapshots(store.promises) if each.id.startswith(id_)]
    if len(found) == 1:
        return found[0]
    message = f"several snapshots begin with {id_}" if found else f"there is no snapshot {id_}"
    raise InvalidInputError(message, hint="`pipe snapshots list` lists them")


def _read(file: str, desk: "Desk", secrets: dict[str, str]) -> "tuple[Use, ...]":
    """The list in a file. Raises InvalidInputError with every problem, and its place."""
    from runner.cli.listed import read_list
    from runner.delivery.definition import uses
    from runner.lint.deliveries import snapshot_list

    return uses(read_list(file, "snapshot", snapshot_list, desk.plugins.snapshots, secrets))


def _as_deployed(desk: "Desk", subject: Any, secrets: dict[str, str]) -> "tuple[Use, ...]":
    from runner.delivery.sealing import restored
    from runner.store.deliveries import live, release

    known = live(desk.store.promises, subject)
    made = release(desk.store.promises, subject, (known.release if known else None) or 0)
    uses = restored(made, secrets).snapshots.before if made else ()
    if not uses:
        raise InvalidInputError(
            f"nothing says what to keep of {subject}", hint="list it in a file, under `snapshot:`"
        )
    return uses


def _row(each: "SnapshotRecord") -> tuple[str, ...]:
    return (
        each.id,
        each.kind if each.state == "kept" else each.state,
        visible(each.application),
        visible(each.environment),
        f"#{each.release}" if each.release else "",
        size(each.size),
        moment(each.created_at),
        visible(each.created_by),
        shortened(visible(each.description), _WIDEST),
    )
