"""`pipe run`: from a file to a finished run, in this process."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.options import shared_options
from runner.cli.run_number import RUN_NUMBER
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.terminal.mode import Mode


@click.command("run", short_help="Run a pipeline now, in containers on this machine.")
@click.argument("file", required=False)
@shared_options
@click.option("--keep", type=click.Choice(["on-failure"]), help="Leave a failed job's container.")
@click.option("--shell-on-failure", is_flag=True, help="Open a shell in the failed step's box.")
@click.option(
    "--from-failed", type=RUN_NUMBER, metavar="RUN", help="Run again what did not succeed in RUN."
)
@click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing.")
@click.option("--junit", metavar="FILE", type=Path, help="Write the result as JUnit XML, too.")
@click.option("--result", metavar="FILE", type=Path, help="Write the result as JSON, too.")
@click.pass_context
def command(
    context: click.Context,
    /,
    file: str | None,
    dry_run: bool,
    progress: "Mode",
    verbose: bool,
    junit: Path | None,
    result: Path | None,
    **typed: Any,
) -> None:
    """Run the pipeline FILE: a path, or a name in pipelines/ or .github/workflows/.

    Without FILE, shows what there is. Ctrl-C cancels the run (steps with `always()` still run);
    pressed again, it stops at once.
    """
    if file is None:
        _show_pipelines()
        return
    from runner.cli import upcoming
    from runner.cli.action_sources import action_store
    from runner.cli.called import Repositories
    from runner.cli.completing import completed
    from runner.cli.given_secrets import asking
    from runner.cli.loading import load_pipeline
    from runner.cli.occasion import not_started, occasion, remark
    from runner.cli.problems import show, tame
    from runner.cli.typed import Options

    options = Options(file=file, **typed)
    loaded = load_pipeline(
        file, Path(), lambda project, home: Repositories(action_store(project, options, home))
    )
    show(loaded.warnings)
    occurred = occasion(loaded, options)
    if options.event and occurred.verdict.obstacle:
        click.echo(tame(not_started(occurred, loaded.document.file, progress), os.environ))
        return
    if (said := remark(occurred, options)) and progress != "quiet":
        click.echo(tame(said, os.environ), err=True)
    prepared = completed(loaded, options, occurred, asking(progress), dry_run=dry_run)
    if dry_run:
        upcoming.show(prepared, loaded)
        return
    from runner.cli.foreground import ForegroundRun
    from runner.terminal.files import Files

    files = Files(junit, result)
    context.exit(ForegroundRun(loaded, options, prepared, progress, verbose, files).to_the_end())


def _show_pipelines() -> None:
    from runner.project import list_pipelines, nearest_project

    found = list_pipelines(nearest_project(Path()))
    if not found:
        raise InvalidInputError(
            "there is no pipeline here",
            hint="put one into pipelines/ or .github/workflows/, or name a file: `pipe run FILE`",
        )
    click.echo("Pipelines here; run one with `pipe run NAME`:\n")
    for path in found:
        click.echo(f"  {path.stem:<24} {path}")
