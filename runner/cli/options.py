"""The options that several commands have: what runs, with which secrets, and how it is shown."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def shared_options(command: Command) -> Command:
    """Give a command that runs pipelines here all of them."""
    return _with((*_WHAT, *_SECRETS, *_HERE), command)


def what_options(command: Command) -> Command:
    """Give a command those that say what a run is, wherever it runs."""
    return _with(_WHAT, command)


def secret_options(command: Command) -> Command:
    """Give a command those that secrets come with."""
    return _with(_SECRETS, command)


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _pairs(
    context: click.Context,  # noqa: ARG001 - click's shape
    parameter: click.Parameter,
    values: Sequence[str],
) -> dict[str, str]:
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"`{value}` is not NAME=VALUE", param=parameter)
        found[name] = text
    return found


_WHAT = (
    click.option(
        "-j", "--job", "jobs", multiple=True, metavar="JOB", help="Only this job and its needs."
    ),
    click.option(
        "--input", "inputs", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="An input."
    ),
    click.option(
        "--env", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A variable for steps."
    ),
    click.option(
        "--var",
        "variables",
        multiple=True,
        callback=_pairs,
        metavar="NAME=VALUE",
        help="For `vars`.",
    ),
    click.option("--matrix", multiple=True, metavar="KEY:VALUE", help="Only legs with this value."),
    click.option(
        "--event", metavar="NAME", help="Run as for this event, if it starts the pipeline."
    ),
    click.option("--event-file", metavar="FILE", help="The event's payload, as JSON."),
    click.option(
        "--action-source",
        "action_sources",
        multiple=True,
        callback=_pairs,
        metavar="OWNER/NAME=FOLDER",
        help="A folder that stands for a repository of actions.",
    ),
    click.option("--offline", is_flag=True, help="Fetch no actions: use those that are here."),
    click.option(
        "--no-reuse", is_flag=True, help="Run jobs with `sources` even if nothing changed."
    ),
    click.option(
        "--skip-unmapped", is_flag=True, help="Skip jobs whose labels nothing here is for."
    ),
)

_SECRETS = (
    click.option(
        "-s",
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="A secret; without a value from the environment, or asked for. ENVIRONMENT:NAME for one of"
        " an environment.",
    ),
    click.option(
        "--secret-file",
        metavar="FILE",
        help="Secrets as NAME=VALUE lines; [ENVIRONMENT] before those of one.",
    ),
)

_HERE = (
    click.option(
        "--require-secrets", is_flag=True, help="Refuse to run while a secret is missing."
    ),
    click.option("--prompt-secrets", is_flag=True, help="Ask for each secret that is missing."),
    click.option(
        "--bind", is_flag=True, help="Work in the checkout itself instead of a copy of it."
    ),
    click.option(
        "--host", is_flag=True, help="Allow `runs-on: self-hosted`: steps on this machine."
    ),
    click.option(
        "--parallel", type=click.IntRange(1), metavar="N", help="How many jobs at a time."
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "live", "plain", "json", "quiet"]),
        default="auto",
        show_default=True,
        help="How the run is shown.",
    ),
    click.option("--json", "progress", flag_value="json", help="The same as --progress json."),
    click.option(
        "-q", "--quiet", "progress", flag_value="quiet", help="The same as --progress quiet."
    ),
    click.option("-v", "--verbose", is_flag=True, help="Also what steps say for debugging."),
)
