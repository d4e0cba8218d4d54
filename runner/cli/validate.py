"""`pipe validate`: every problem of every pipeline file, at once."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.problems import is_colored, render, show, to_json
from runner.errors import EXIT_INVALID, InvalidInputError

if TYPE_CHECKING:
    from runner.cli.verdicts import Verdict


@click.command("validate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or one JSON document.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.pass_context
def command(context: click.Context, files: tuple[str, ...], form: str) -> None:
    """Check each FILE, and what it calls: a path, a folder, or the bare name of a pipeline.

    Without FILE, checks everything in pipelines/ and .github/workflows/.
    Exits with 2 when there is an error; warnings alone are fine.
    """
    from runner.cli.verdicts import judge
    from runner.plugins import load_plugins
    from runner.project import find_project

    plugins = load_plugins(find_project(Path()).folder / "plugins")
    show(plugins.problems)
    verdicts = judge(dict.fromkeys(_paths(files)), plugins.schemas)
    color = is_colored(sys.stdout)
    click.echo(_as_json(verdicts) if form == "json" else _as_text(verdicts, color), color=color)
    if any(verdict.errors for verdict in verdicts):
        context.exit(EXIT_INVALID)


def _paths(files: Sequence[str]) -> Iterator[Path]:
    from runner.project import find_pipeline

    for name in files:
        if Path(name).is_dir():
            yield from _in_folder(Path(name))
        else:
            yield find_pipeline(name, Path())
    if not files:
        yield from _in_folder(Path())


def _in_folder(folder: Path) -> tuple[Path, ...]:
    """The pipelines of a project; of any other folder, the YAML files right in it."""
    from runner.project import list_pipelines

    own = (path for path in sorted(folder.glob("*")) if path.suffix in (".yaml", ".yml"))
    found = list_pipelines(folder) or tuple(path for path in own if path.name != "pipe.yaml")
    if not found:
        hint = "name the files to check, or put them into pipelines/ or .github/workflows/"
        raise InvalidInputError(f"there is no pipeline in {folder.resolve()}", hint=hint)
    return found


def _as_text(verdicts: Sequence["Verdict"], color: bool) -> str:
    texts = {verdict.file: verdict.text for verdict in verdicts}
    problems = [problem for verdict in verdicts for problem in verdict.problems]
    blocks = [render(problems, texts, color), ""] if problems else []
    return "\n".join([*blocks, *map(str, verdicts)])


def _as_json(verdicts: Sequence["Verdict"]) -> str:
    files = [
        {
            "file": verdict.file,
            "valid": not verdict.errors,
            "jobs": verdict.jobs,
            "problems": to_json(verdict.problems),
        }
        for verdict in verdicts
    ]
    valid = not any(verdict.errors for verdict in verdicts)
    return json.dumps({"valid": valid, "files": files}, indent=2, ensure_ascii=False)
