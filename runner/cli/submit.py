"""`pipe submit FILE...`: runs that workers take from the queue."""

import json
import shlex
from typing import Any

import click

from runner.cli.duration import DURATION, MOMENT
from runner.cli.options import what_options
from runner.cli.queue_name import queue_name
from runner.errors import EnvironmentMissingError, InvalidInputError


@click.command("submit", short_help="Queue runs for `pipe worker`.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@what_options
@click.option(
    "--priority", type=click.IntRange(0, 100), help="100 comes first; overrules the file's."
)
@click.option("--queue", metavar="NAME", help="The queue that it waits in; overrules the file's.")
@click.option("--delay", type=DURATION, metavar="TIME", help="Start no sooner than after this.")
@click.option("--at", "moment", type=MOMENT, metavar="TIME", help="Start no sooner than then.")
@click.option("--key", metavar="KEY", help="The same key gives the same run, however often.")
@click.option("--owner", metavar="NAME", help="Who wants it; owners take turns. Default: you.")
@click.option("--wait", is_flag=True, help="Print what it prints, and exit as the run ends.")
@click.option("--json", "as_json", is_flag=True, help="The numbers as a JSON list.")
@click.pass_context
def command(
    context: click.Context,
    /,
    files: tuple[str, ...],
    priority: int | None,
    queue: str | None,
    delay: float | None,
    moment: float | None,
    key: str | None,
    owner: str | None,
    wait: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Queue a run of each pipeline FILE, all or none, and print their numbers, each on its line.

    A run keeps the pipeline, its inputs and the source as they are now. Secrets are not stored:
    give them to `pipe worker`.
    """
    if delay is not None and moment is not None:
        raise InvalidInputError("`--delay` and `--at` exclude each other")
    if key is not None and len(files) > 1:
        raise InvalidInputError("`--key` is for one run, and several files are named")
    if wait and as_json:
        raise InvalidInputError(
            "`--wait` and `--json` exclude each other",
            hint="what `--wait` prints is the output of steps; `pipe show RUN --json` has the rest",
        )
    if key is not None and not key.strip():
        raise InvalidInputError("`--key` is empty: all runs would be the same")
    if owner is not None and not owner.strip():
        raise InvalidInputError("`--owner` names nobody")
    if queue is not None:
        queue_name(queue)
    from runner.cli.submitting import Terms, submit
    from runner.cli.typed import Options

    terms = Terms(priority, queue, delay, moment, key, owner)
    wanted = [Options(file=file, **typed) for file in files]
    try:
        runs = submit(wanted, terms)
    except EnvironmentMissingError as error:
        raise _with_another_way(error, wanted) from error
    click.echo(json.dumps(runs) if as_json else "\n".join(map(str, runs)))
    if wait:
        from runner.cli.awaiting import await_all

        context.exit(await_all(runs))


def _with_another_way(error: EnvironmentMissingError, wanted: list[Any]) -> EnvironmentMissingError:
    from runner.cli.typed import words
    from runner.secrets import Masker

    nothing = Masker(())
    commands = (shlex.join(["pipe", "run", *words(each, nothing)]) for each in wanted)
    hint = f"{error.hint}\n  without the queue: {' && '.join(commands)}"
    return EnvironmentMissingError(error.message, hint=hint.lstrip("\n"))
