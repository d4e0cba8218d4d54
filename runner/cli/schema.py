"""`pipe schema`: what editors complete pipeline files from."""

import json
from pathlib import Path

import click


@click.command("schema", short_help="Print the JSON schema of pipeline files, for editors.")
def command() -> None:
    """Print the JSON schema (draft 07) of pipeline files, with the settings of all that the plugins
    bring: those that are installed, and those of the project in this folder."""
    from runner.lint import Brought
    from runner.lint.merged import merged
    from runner.parse import schema
    from runner.plugins import load_plugins
    from runner.project import find_project

    plugins = load_plugins(find_project(Path()).folder / "plugins")
    click.echo(json.dumps(merged(schema(), Brought(**plugins.schemas)), indent=2))
