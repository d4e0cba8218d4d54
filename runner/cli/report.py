"""`pipe report`: all about one deployment."""

import json
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, table
from runner.errors import EXIT_RUN_FAILED, InvalidInputError
from runner.terminal.words import duration, visible

if TYPE_CHECKING:
    from runner.store import Store


@click.command("report", short_help="Tell all about a deployment.")
@click.argument("deployment", type=click.IntRange(1), required=False)
@click.option("--audit", is_flag=True, help="Tell who did what to environments instead.")
@click.option("--verify", is_flag=True, help="With --audit: whether somebody has changed that.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, whose shape has a version.")
@click.pass_context
def command(
    context: click.Context,
    /,
    deployment: int | None,
    audit: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Tell all about DEPLOYMENT, or the last one: who and why, each move, check and weight, how
    long it took to notice and to go back, and whom nobody could tell of it."""
    if verify and not audit:
        raise click.UsageError("--verify belongs to --audit")
    if audit:
        from runner.cli.audited import show_audit

        if not show_audit(verify=verify, as_json=as_json):
            context.exit(EXIT_RUN_FAILED)
        return
    with open_store() as store:
        found = read_report(store, deployment)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


def read_report(store: "Store", number: int | None) -> dict[str, Any]:
    """The report of one deployment. Raises InvalidInputError when there is none."""
    from runner.delivery.report import report
    from runner.store import deliveries
    from runner.store.outbox import letters_of

    known = deliveries.deployments(store.promises)
    # The way back is told together with the deployment that it undid.
    wanted = [each for each in known if number == each.id or (not number and not each.cause)]
    if not wanted:
        what = f"there is no deployment {number}" if number else "nothing was deployed"
        raise InvalidInputError(what, hint="`pipe releases --deployments` lists them")
    record = wanted[-1]
    back = next((each for each in known if each.cause == record.id), None)
    return report(
        record,
        deliveries.release(store.promises, record.subject, record.release),
        deliveries.journal(store.promises, record.id),
        read_report(store, back.id) if back else None,
        letters_of(store.promises, record.id),
    )


def _text(found: dict[str, Any]) -> str:
    version = found["version"] or f"release {found['release']}"
    head = (
        f"deployment {found['deployment']}: {found['kind']} of {version}"
        f" of {found['application']} to {found['environment']}, {found['state']}"
    )
    lines = [visible(head), f"by {visible(found['who'])}, {moment(found['started_at'])}"]
    if found["message"]:
        lines.append(visible(found["message"]))
    rows = [
        (each["move"], duration(each["seconds"] or 0.0), visible(_about(each)))
        for each in found["moves"]
    ]
    if rows:
        lines += ["", table([("MOVE", "TIME", "WHAT"), *rows])]
    checks = [
        (visible(each["name"]), each["verdict"], str(each["asked"]), visible(each["message"]))
        for each in found["checks"]
    ]
    if checks:
        lines += ["", table([("CHECK", "VERDICT", "ASKED", "SAYS"), *checks])]
    for name, what in (("seconds_to_detect", "noticed"), ("seconds_to_restore", "back")):
        if found[name] is not None:
            lines.append(f"{what} after {found[name]:.3f} s")
    lines += [
        f"{visible(each['notifier'])} was not told of `{each['event']}`: {visible(each['error'])}"
        for each in found["notifications"]
        if each["state"] == "given-up"
    ]
    if found["rollback"]:
        lines += ["", _text(found["rollback"])]
    return "\n".join(lines)


def _about(move: dict[str, Any]) -> str:
    if "weights" in move:
        return ", ".join(f"{name} {weight}" for name, weight in move["weights"].items()) or "nobody"
    return ", ".join(move.get("places", ()))
