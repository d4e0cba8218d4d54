"""`pipe watch`: runs pipelines again whenever files change."""

import os
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.given_secrets import Ask
    from runner.terminal.mode import Mode


@click.command("watch", short_help="Run pipelines again whenever files change.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@shared_options
@click.option("--no-cancel", is_flag=True, help="Let a run end first when files change during it.")
@click.pass_context
def command(
    context: click.Context,
    /,
    files: tuple[str, ...],
    progress: "Mode",
    verbose: bool,
    no_cancel: bool,
    **typed: Any,
) -> None:
    """Run each pipeline FILE (a path, or a name), and again whenever files change.

    Those of `on.watch` count, else those of `on.push.paths`, else all that git does not ignore. A
    change during a run cancels it. Ctrl-C ends the watch: with 0 between runs, with 130 in one.
    """
    from runner.cli.given_secrets import asking
    from runner.cli.turns import Turns
    from runner.cli.typed import Options
    from runner.cli.watched import Watched
    from runner.cli.watching import View, Watching
    from runner.project import find_pipeline, home_folder
    from runner.terminal.watching import WatchLines

    paths = {find_pipeline(name, Path()).resolve(): name for name in files}
    watched = [
        Watched(find_pipeline(name, Path()), Options(file=name, **typed)) for name in paths.values()
    ]
    lines = WatchLines(sys.stdout, progress, os.environ)
    view = View(lines, progress, verbose, _once(asking(progress)))
    home = home_folder()
    # With `--bind` a run changes what is watched, and must not cancel itself.
    cancels = not (no_cancel or typed["bind"])
    with closing(Turns(home)) as turns:
        watching = Watching(watched, turns, view, home.resolve(), cancels=cancels)
        context.exit(watching.until_stopped())


def _once(ask: "Ask") -> "Ask":
    """Nobody is asked for the same secret before each run."""
    return cache(ask) if ask else None
