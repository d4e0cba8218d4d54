"""`pipe rollback`: to a release that was live before."""

import getpass
import json
import time
from dataclasses import asdict
from typing import Any

import click

from runner.cli.delivering import (
    environment_secrets,
    host_option,
    only_application,
    opened_desk,
    outside,
)
from runner.cli.options import secret_options
from runner.cli.signals import signals_ask
from runner.errors import EXIT_CANCELLED, EXIT_RUN_FAILED


@click.command("rollback", short_help="Go back to an earlier release.")
@click.argument("environment")
@click.option("--to", default="", metavar="VERSION", help="A version or `#NUMBER` of a release.")
@click.option(
    "--snapshot", default="", metavar="ID", help="To the release and configuration of a snapshot."
)
@click.option("--data", is_flag=True, help="Also the data that the snapshot holds.")
@click.option("--application", metavar="NAME", help="Needed where several are deployed.")
@secret_options
@host_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(
    context: click.Context,
    /,
    environment: str,
    to: str,
    snapshot: str,
    data: bool,
    application: str | None,
    host: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Make an earlier release of ENVIRONMENT live: VERSION, or the last good one before now.

    With it comes the configuration that was kept while it was live, or that of a snapshot. At once
    where it still runs; it is verified as when it was deployed, and never undone by itself.
    """
    from runner.delivery.deliver import deliver
    from runner.delivery.rollback import order_back

    secrets = environment_secrets(environment, given)
    with opened_desk() as desk:
        order = order_back(
            desk,
            application or only_application(desk, environment),
            environment,
            to=to,
            snapshot=snapshot,
            data=data,
            key=f"rollback/{time.time_ns()}",
            owner=getpass.getuser(),
            secrets=secrets,
        )
        around = outside(desk, secrets, host=host, quiet=as_json)
        with signals_ask(around.stop):
            ending = deliver(desk, order, around)
    if as_json:
        click.echo(json.dumps(asdict(ending), indent=2))
    elif ending.state == "succeeded":
        click.echo(f"{order.definition.version or f'release {ending.release}'} is live")
    if ending.state != "succeeded":
        context.exit(EXIT_CANCELLED if ending.state == "cancelled" else EXIT_RUN_FAILED)
