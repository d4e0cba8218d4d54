"""`pipe config show`: what counts, and where it was written."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runner.project.effective import Setting

#: The variables that Pipe reads.
_VARIABLES = (
    *("PIPE_HOME", "PIPE_DATABASE_URL", "PIPE_STORAGE", "PIPE_ALLOW_HOST", "PIPE_LOG_LEVEL"),
    *("PIPE_ACTIONS_SERVER", "PIPE_ENGINE_MODE"),
)
#: Those of which no more is shown than that they are set: there may be a password in them.
_PRIVATE = ("PIPE_DATABASE_URL", "PIPE_ACTIONS_SERVER")


@click.group("config", short_help="Show the configuration as it counts.")
def command() -> None:
    """The configuration: `pipe.yaml`, your own file, and variables of the environment."""


@command.command("show", short_help="Show every value, and where it was written.")
@click.option("--environment", metavar="ENV", default="", help="As it counts in this environment.")
@click.option("--secret", "secrets", metavar="NAME[=VALUE]", multiple=True, help="A secret given.")
@click.option("--secret-file", metavar="FILE", help="Secrets given; their values are not shown.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(
    environment: str, secrets: tuple[str, ...], secret_file: str | None, as_json: bool
) -> None:
    """Show what `pipe.yaml`, your own file and variables settle, and where each of it stands.

    With `--environment` the keys of that environment lie over the others, as its jobs see it. Of the
    secrets that it asks for it says whether `--secret` and `--secret-file` give them.
    """
    from runner.cli.given_secrets import given_secrets
    from runner.cli.typed import Options
    from runner.project import find_project
    from runner.project.effective import effective
    from runner.project.find import config_file

    project = find_project(Path())
    settings = effective(config_file(project.folder), environment)
    given = given_secrets(Options(file="", secrets=secrets, secret_file=secret_file), None)
    asked = _secrets(settings, given, environment)
    variables = list(_variables(os.environ))
    if as_json:
        click.echo(json.dumps(_as_json(settings, asked, variables), indent=2))
    else:
        click.echo(_as_text(settings, asked, variables))


def _secrets(
    settings: Sequence["Setting"], given: Mapping[str, str], environment: str
) -> dict[str, bool]:
    """The secrets that the environment asks for, and whether they are given."""
    from runner.environments import Entered, lacking, secrets_in

    names = next((each.value for each in settings if each.path == ("secrets",)), ())
    asked = (names,) if isinstance(names, str) else tuple(names)
    missing = lacking(Entered(secrets=asked), secrets_in(given, environment))
    return {name: name not in missing for name in asked}


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in _VARIABLES:
        if environ.get(name):
            yield name, "set" if name in _PRIVATE else environ[name]


def _as_json(
    settings: Sequence["Setting"],
    asked: Mapping[str, bool],
    variables: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    return {
        "settings": [
            {"name": each.name, "path": each.path, "value": each.value, "origin": each.origin}
            for each in settings
        ],
        "secrets": [{"name": name, "given": is_given} for name, is_given in asked.items()],
        "variables": dict(variables),
    }


def _as_text(
    settings: Sequence["Setting"],
    asked: Mapping[str, bool],
    variables: Sequence[tuple[str, str]],
) -> str:
    from runner.cli.history import table
    from runner.terminal.words import visible

    rows = [(each.name, _shown(each.value), each.origin) for each in settings]
    rows += [
        (f"secret {name}", "given" if is_given else "not given", "")
        for name, is_given in asked.items()
    ]
    rows += [(name, value, "environment variable") for name, value in variables]
    return table([("NAME", "VALUE", "FROM"), *(tuple(map(visible, row)) for row in rows)])


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
