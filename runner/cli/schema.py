"""`pipe schema`: what editors complete pipeline files from."""

import json

import click


@click.command("schema", short_help="Print the JSON schema of pipeline files, for editors.")
def command() -> None:
    """Print the JSON schema (draft 07) of pipeline files."""
    from runner.parse import schema

    click.echo(json.dumps(schema(), indent=2))
