"""`pipe recover`: ends deployments whose process is gone."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.delivering import environment_secrets, host_option, opened_desk, outside
from runner.cli.history import moment
from runner.cli.options import secret_options
from runner.errors import EXIT_RUN_FAILED

if TYPE_CHECKING:
    from runner.delivery.order import Desk
    from runner.store.deliveries import DeploymentRecord


@click.command("recover", short_help="End deployments whose process is gone.")
@click.option("--dry-run", is_flag=True, help="Only list them.")
@secret_options
@host_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(
    context: click.Context, /, dry_run: bool, host: bool, as_json: bool, **given: Any
) -> None:
    """End every deployment that nobody works on any more: what users may have noticed goes on or
    back, and of everything else nothing stays.

    The next deployment of the same application does this too. Releases that were only kept running
    for a while (`keep: {previous-running: ...}`) are stopped when that is over.
    """
    from runner.delivery.recovery import recover_one
    from runner.delivery.unfinished import unfinished
    from runner.errors import PipeError

    failed = False
    rows: list[dict[str, Any]] = []
    with opened_desk() as desk:
        for record in unfinished(desk.store):
            if dry_run:
                rows.append(asdict(record))
                _say(_line(record), quiet=as_json)
                continue
            secrets = environment_secrets(record.environment, given)
            around = outside(desk, secrets, host=host, quiet=as_json)
            try:
                ending = recover_one(desk, record, around, secrets)
            except PipeError as error:
                failed = True
                rows.append({"deployment": record.id, "error": error.message})
                hint = f" ({error.hint})" if error.hint else ""
                _say(f"deployment {record.id}: {error.message}{hint}", quiet=as_json)
                continue
            if ending:
                rows.append(asdict(ending))
                _say(f"deployment {ending.deployment} {ending.state}", quiet=as_json)
        if not dry_run:
            failed |= _retire(desk, given, host=host, quiet=as_json)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("no deployment was left unfinished")
    if failed:
        context.exit(EXIT_RUN_FAILED)


def _retire(desk: "Desk", given: dict[str, Any], *, host: bool, quiet: bool) -> bool:
    """Stop what was only kept running for a while; True when something could not be stopped."""
    from runner.delivery.contained import FailedError
    from runner.delivery.recovery import retire
    from runner.errors import PipeError
    from runner.store.deliveries import all_live

    failed = False
    for each in all_live(desk.store.promises):
        secrets = environment_secrets(each.subject.environment, given)
        around = outside(desk, secrets, host=host, quiet=quiet)
        try:
            retire(desk, each.subject, around, secrets)
        except (PipeError, FailedError) as error:
            failed = True
            _say(f"{each.subject}: {error.message}", quiet=quiet)
    return failed


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        click.echo(text)


def _line(record: "DeploymentRecord") -> str:
    return (
        f"deployment {record.id} of {record.subject}, {record.state}"
        f" since {moment(record.created_at)}"
    )
