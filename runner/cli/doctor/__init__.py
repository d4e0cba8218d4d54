"""`pipe doctor`: what this machine has, what it lacks, and what was left behind."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from runner.cli.doctor.database import database
from runner.cli.doctor.deployments import deployments
from runner.cli.doctor.engine import engine
from runner.cli.doctor.kept import storage
from runner.cli.doctor.machine import disk, git, versions
from runner.errors import EXIT_ENVIRONMENT
from runner.project import home_folder
from runner.store.finding import Finding


@click.command("doctor", short_help="Check engine, database, disk and leftovers.")
@click.option(
    "--clean", is_flag=True, help="Remove what runs left behind, kept boxes too; correct counts."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(context: click.Context, /, clean: bool, as_json: bool) -> None:
    """Check what runs need on this machine. Exits with 4 when something essential is missing."""
    findings = list(_findings(clean))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            _print(finding)
    if any(finding.level == "error" for finding in findings):
        context.exit(EXIT_ENVIRONMENT)


def _findings(clean: bool) -> Iterator[Finding]:
    home = home_folder()
    yield from versions()
    yield git()
    yield disk(home)
    yield from engine(home, clean)
    yield from database(home, clean)
    yield from storage(home, clean)
    yield from deployments(home)


def _print(finding: Finding) -> None:
    colour = {"ok": "green", "warning": "yellow", "error": "red"}[finding.level]
    click.echo(f"{click.style(finding.level, fg=colour):<8} {finding.name}: {finding.text}")
    if finding.hint:
        click.echo(f"         {finding.hint}")
