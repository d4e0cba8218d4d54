"""`pipe runs`: what ran here and what runs now."""

import json
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, table, took, verdict
from runner.cli.standing import Standing, standing
from runner.terminal.words import visible

if TYPE_CHECKING:
    from runner.store.tables import RunRow


@click.command("runs", short_help="List runs.")
@click.option("--file", default="", help="Only runs of this pipeline file.")
@click.option(
    "-n",
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(file: str, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    from runner.queue import Situation
    from runner.store import reads

    with open_store() as store:
        found = reads.runs(store, file=file, limit=limit)
        situation = Situation(store, store.now())
        stands = {
            run.id: standing(store, situation, run.id) for run in found if run.state != "finished"
        }
    if as_json:
        hidden = {"process", "version"}
        shown = [
            {**run.model_dump(exclude=hidden), **_stands(run, stands.get(run.id, Standing()))}
            for run in found
        ]
        click.echo(json.dumps(shown, indent=2))
    elif not found:
        click.echo("nothing has run yet; `pipe run` shows the pipelines here")
    else:
        head = ("RUN", "RESULT", "STARTED", "TOOK", "PIPELINE")
        click.echo(table([head, *(_row(run, stands.get(run.id, Standing())) for run in found)]))


def _stands(run: "RunRow", stands: Standing) -> dict[str, Any]:
    return {"reason": run.reason or stands.reason, **stands.to_json()}


def _row(run: "RunRow", stands: Standing) -> tuple[str, ...]:
    progress = f"{stands.progress.percent} %" if stands.progress else ""
    return (
        str(run.id),
        verdict(run.state, run.result, run.reason or stands.reason or progress),
        moment(run.started_at or run.created_at),
        took(run.started_at, run.finished_at),
        visible(f"{run.name} ({run.file})"),
    )
