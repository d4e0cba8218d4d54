"""`pipe verify`: checks of something that runs, without deploying."""

import json
from typing import TYPE_CHECKING, Any

import click

from runner.cli.delivering import environment_secrets, host_option, opened_desk, outside
from runner.cli.history import table
from runner.cli.options import secret_options
from runner.cli.signals import signals_ask
from runner.errors import EXIT_RUN_FAILED, InvalidInputError
from runner.terminal.words import duration, visible

if TYPE_CHECKING:
    from runner.delivery.asking import Answer
    from runner.delivery.order import Brought


@click.command("verify", short_help="Check something that runs, without deploying.")
@click.argument("file", required=False, metavar="FILE")
@click.option("--base-url", default="", metavar="URL", help="What `path` and `port` belong to.")
@secret_options
@host_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(
    context: click.Context,
    /,
    file: str | None,
    base_url: str,
    host: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Ask the checks in FILE, a list under `verify:`, all at once, until their answers stand.

    Without FILE: whether URL answers with 200. Exits with 1 unless every required check passes.
    """
    from runner.delivery.verifying import ask, worst

    if file is None and not base_url:
        raise InvalidInputError("there is nothing to check", hint="give FILE, --base-url, or both")
    secrets = environment_secrets("", given)
    with opened_desk() as desk:
        asks = _read(file, desk.plugins, secrets) if file else _default()
        around = outside(desk, secrets, host=host, quiet=True)
        with signals_ask(around.stop):
            answers = ask(desk.plugins, asks, base_url, around)
    click.echo(around.masker.mask_text(_as_json(answers) if as_json else _as_table(answers)))
    decisive = worst(answers)
    if decisive and decisive.result.verdict != "pass":
        context.exit(EXIT_RUN_FAILED)


def _default() -> list[Any]:
    from runner.delivery.definition import checks

    return list(checks([{"http": {"path": "/", "within": "10s"}}]))


def _read(file: str, plugins: "Brought", secrets: dict[str, str]) -> list[Any]:
    """The checks in a file. Raises InvalidInputError with every problem, and its place."""
    from runner.cli.listed import read_list
    from runner.delivery.definition import checks
    from runner.lint.deliveries import check_list

    return list(checks(read_list(file, "verify", check_list, plugins.checks, secrets)))


def _as_json(answers: "list[Answer]") -> str:
    from runner.delivery.carry import plain

    return json.dumps({"schema": 1, "checks": [plain(each) for each in answers]}, indent=2)


def _as_table(answers: "list[Answer]") -> str:
    rows = [
        (
            visible(str(each.ask)),
            each.result.verdict + ("" if each.ask.required else " (not required)"),
            duration(each.seconds),
            visible(each.result.message),
        )
        for each in answers
    ]
    return table([("CHECK", "VERDICT", "TIME", "SAYS"), *rows])
