"""`pipe approve RUN`: a person lets what waits in front of an environment go on, or refuses to."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from runner.cli.history import open_store
from runner.cli.run_number import RUN_NUMBER
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner import queue


@click.command("approve", short_help="Let a run into an environment, or refuse to.")
@click.argument("run", type=RUN_NUMBER)
@click.option("--job", metavar="JOB", default="", help="This job alone.")
@click.option("--environment", metavar="ENV", default="", help="What waits for this one alone.")
@click.option("--reject", is_flag=True, help="Refuse: the job fails, a deployment goes back.")
@click.option("--comment", metavar="TEXT", default="", help="Why; it is kept.")
@click.option("--as", "name", metavar="NAME", help="Who says so. Default: you.")
@click.option("--json", "as_json", is_flag=True, help="What it was about, as JSON.")
def command(
    run: int,
    job: str,
    environment: str,
    reject: bool,
    comment: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Let the jobs of RUN go on that wait for approval, and its deployments that are paused.

    Who may do that stands in `pipe.yaml`, at `reviewers` of the environment. What is said is kept,
    and shown by `pipe show RUN --json`.
    """
    from runner import queue
    from runner.project.git import login
    from runner.terminal.words import visible

    if name is not None and not name.strip():
        raise InvalidInputError("`--as` names nobody")
    said = queue.Review(
        name or login(), "rejected" if reject else "approved", comment, job, environment
    )
    with open_store() as store:
        found = queue.review(store, run, said, store.now())
    if as_json:
        click.echo(json.dumps([{"run": run, **asdict(each)} for each in found], indent=2))
        return
    for each in found:
        click.echo(visible(f"{_what(each)} is {said.verdict}{_left(each, reject)}"))


def _what(reviewed: "queue.Reviewed") -> str:
    if reviewed.deployment is not None:
        return f"deployment {reviewed.deployment} to {reviewed.environment}"
    return f"job `{reviewed.job}` for {reviewed.environment}"


def _left(reviewed: "queue.Reviewed", reject: bool) -> str:
    if reject or not reviewed.missing:
        return ""
    people = (
        "1 more person has" if reviewed.missing == 1 else f"{reviewed.missing} more people have"
    )
    return f"; {people} to approve it"
