"""`pipe run`: from a file to a finished run, in this process."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.run_number import RUN_NUMBER
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.cli.given_secrets import Ask
    from runner.cli.loading import Loaded
    from runner.cli.occasion import Occasion
    from runner.cli.preparing import Preparation
    from runner.cli.typed import Options
    from runner.terminal import Mode


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


@click.command("run", short_help="Run a pipeline now, in containers on this machine.")
@click.argument("file", required=False)
@click.option(
    "-j", "--job", "jobs", multiple=True, metavar="JOB", help="Only this job and its needs."
)
@click.option(
    "--input", "inputs", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="An input."
)
@click.option(
    "-s",
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="A secret; without a value from the environment, or asked for. ENVIRONMENT:NAME for one of"
    " an environment.",
)
@click.option(
    "--secret-file",
    metavar="FILE",
    help="Secrets as NAME=VALUE lines; [ENVIRONMENT] before those of one.",
)
@click.option("--require-secrets", is_flag=True, help="Refuse to run while a secret is missing.")
@click.option("--prompt-secrets", is_flag=True, help="Ask for each secret that is missing.")
@click.option(
    "--env", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A variable for steps."
)
@click.option(
    "--var", "variables", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="For `vars`."
)
@click.option("--matrix", multiple=True, metavar="KEY:VALUE", help="Only legs with this value.")
@click.option("--event", metavar="NAME", help="Run as for this event, if it starts the pipeline.")
@click.option("--event-file", metavar="FILE", help="The event's payload, as JSON.")
@click.option(
    "--action-source",
    "action_sources",
    multiple=True,
    callback=_pairs,
    metavar="OWNER/NAME=FOLDER",
    help="A folder that stands for a repository of actions.",
)
@click.option("--offline", is_flag=True, help="Fetch no actions: use those that are here.")
@click.option("--bind", is_flag=True, help="Work in the checkout itself instead of a copy of it.")
@click.option("--host", is_flag=True, help="Allow `runs-on: self-hosted`: steps on this machine.")
@click.option("--skip-unmapped", is_flag=True, help="Skip jobs whose labels nothing here is for.")
@click.option("--keep", type=click.Choice(["on-failure"]), help="Leave a failed job's container.")
@click.option("--shell-on-failure", is_flag=True, help="Open a shell in the failed step's box.")
@click.option(
    "--from-failed", type=RUN_NUMBER, metavar="RUN", help="Run again what did not succeed in RUN."
)
@click.option("--no-reuse", is_flag=True, help="Run jobs with `sources` even if nothing changed.")
@click.option("--parallel", type=click.IntRange(1), metavar="N", help="How many jobs at a time.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "live", "plain", "json", "quiet"]),
    default="auto",
    show_default=True,
    help="How the run is shown.",
)
@click.option("--json", "progress", flag_value="json", help="The same as --progress json.")
@click.option("-q", "--quiet", "progress", flag_value="quiet", help="The same as --progress quiet.")
@click.option("--junit", metavar="FILE", type=Path, help="Write the result as JUnit XML, too.")
@click.option("--result", metavar="FILE", type=Path, help="Write the result as JSON, too.")
@click.option("-v", "--verbose", is_flag=True, help="Also what steps say for debugging.")
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
    prepared = _prepared(loaded, options, occurred, asking(progress), dry_run)
    if dry_run:
        upcoming.show(prepared, loaded)
        return
    from runner.cli.foreground import ForegroundRun
    from runner.terminal import Files

    files = Files(junit, result)
    context.exit(ForegroundRun(loaded, options, prepared, progress, verbose, files).to_the_end())


def _prepared(
    loaded: "Loaded", options: "Options", occurred: "Occasion", ask: "Ask", dry_run: bool
) -> "Preparation":
    """The run as it could start; tells which secrets nobody gave, or asks for them."""
    from runner.cli import missing_secrets, preparing
    from runner.cli.problems import show

    prepared = preparing.prepare(loaded, options, occurred, ask)
    if options.prompt_secrets and not dry_run:
        prepared = missing_secrets.asked_for(loaded, prepared, ask)
    show(missing_secrets.warnings(loaded, prepared, required=options.require_secrets))
    return prepared


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
