"""`pipe releases`: what is live where, and what was."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, table
from runner.terminal.words import shortened, visible

if TYPE_CHECKING:
    from runner.store import Store
    from runner.store.deliveries import DeploymentRecord, Live, ReleaseRecord

_WIDEST = 40


@click.command("releases", short_help="List what is live where, and what was.")
@click.argument("environment", required=False)
@click.option("--application", metavar="NAME", help="Only of this application.")
@click.option("--deployments", "as_deployments", is_flag=True, help="List the deployments instead.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(
    environment: str | None,
    application: str | None,
    as_deployments: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the releases of all applications, or those in ENVIRONMENT, the newest first.

    `*` marks the one that is live.
    """
    from runner.store import deliveries

    with open_store() as store:
        if as_deployments:
            found = deliveries.deployments(store.promises, application, environment)[::-1][:limit]
            click.echo(_deployments_json(found) if as_json else _deployments_table(found))
            return
        lives = [
            live
            for live in deliveries.all_live(store.promises)
            if environment in (None, live.subject.environment)
            and application in (None, live.subject.application)
        ]
        pairs = list(_releases(store, lives, limit))
    if as_json:
        click.echo(json.dumps([_json(live, each) for live, each in pairs], indent=2))
    elif not pairs:
        click.echo("nothing was deployed" + (f" to {environment}" if environment else ""))
    else:
        head = ("", "APPLICATION", "ENVIRONMENT", "RELEASE", "VERSION", "STATE", "WHEN", "BY")
        click.echo(table([head, *(_row(live, each) for live, each in pairs)]))


def _releases(
    store: "Store", lives: "list[Live]", limit: int
) -> "list[tuple[Live, ReleaseRecord]]":
    from runner.store import deliveries

    return [
        (live, each)
        for live in lives
        for each in deliveries.releases(store.promises, live.subject)[::-1][:limit]
    ]


def _row(live: "Live", each: "ReleaseRecord") -> tuple[str, ...]:
    return (
        "*" if live.release == each.number else "",
        visible(each.application),
        visible(each.environment),
        f"#{each.number}",
        shortened(visible(each.version), _WIDEST),
        each.state,
        moment(each.created_at),
        visible(each.created_by),
    )


def _json(live: "Live", each: "ReleaseRecord") -> dict[str, Any]:
    return {
        "application": each.application,
        "environment": each.environment,
        "release": each.number,
        "version": each.version,
        "live": live.release == each.number,
        "state": each.state,
        "commit": each.commit_sha,
        "digest": each.digest,
        "created_at": each.created_at,
        "created_by": each.created_by,
        "definition": each.definition,
    }


def _deployments_json(found: "list[DeploymentRecord]") -> str:
    hidden = ("course", "key")
    rows = [{k: v for k, v in asdict(each).items() if k not in hidden} for each in found]
    return json.dumps(rows, indent=2)


def _deployments_table(found: "list[DeploymentRecord]") -> str:
    if not found:
        return "nothing was deployed"
    head = ("ID", "KIND", "APPLICATION", "ENVIRONMENT", "RELEASE", "STATE", "RUN", "WHEN", "WHY")
    return table([head, *map(_deployment_row, found)])


def _deployment_row(each: "DeploymentRecord") -> tuple[str, ...]:
    why = each.message or each.why
    return (
        str(each.id),
        each.kind,
        visible(each.application),
        visible(each.environment),
        f"#{each.release}",
        each.state,
        str(each.run or ""),
        moment(each.created_at),
        shortened(visible(why), _WIDEST),
    )
