"""`pipe validate`: every problem of every pipeline file, at once."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.problems import annotation, is_colored, render, show, tame, to_json
from runner.errors import EXIT_INVALID, InvalidInputError

if TYPE_CHECKING:
    from runner.cli.verdicts import Verdict


@click.command("validate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="Text for people, JSON, SARIF 2.1.0, or annotations of GitHub's.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--strict", is_flag=True, help="Check for what is only advised, and fail on warnings."
)
@click.pass_context
def command(context: click.Context, files: tuple[str, ...], form: str, strict: bool) -> None:
    """Check each FILE, and what it calls: a path, a folder, or the bare name of a pipeline.

    Without FILE, checks everything in pipelines/ and .github/workflows/.
    Exits with 2 when there is an error; warnings alone are fine, but for --strict.
    """
    from runner.cli.action_sources import known_actions
    from runner.cli.local_actions import ProjectActions
    from runner.cli.verdicts import judge
    from runner.plugins import load_plugins
    from runner.project import find_project, home_folder

    project = find_project(Path())
    plugins = load_plugins(project.folder / "plugins")
    show(plugins.problems)
    actions = ProjectActions(project.root, known_actions(project, home_folder()))
    from runner.lint import Brought

    environments = project.config.environments
    paths = dict.fromkeys(_paths(files))
    brought = Brought(**plugins.schemas)
    verdicts = judge(paths, brought, actions, environments, strict=strict)
    color = is_colored(sys.stdout)
    click.echo(_printed(verdicts, form, color), color=color)
    if not all(verdict.is_valid for verdict in verdicts):
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


def _printed(verdicts: Sequence["Verdict"], form: str, color: bool) -> str:
    match form:
        case "json":
            return _as_json(verdicts)
        case "sarif":
            return _as_sarif(verdicts)
        case "github":
            return _as_annotations(verdicts)
    return tame(_as_text(verdicts, color), os.environ)


def _as_text(verdicts: Sequence["Verdict"], color: bool) -> str:
    texts = {verdict.file: verdict.text for verdict in verdicts}
    problems = [problem for verdict in verdicts for problem in verdict.problems]
    blocks = [render(problems, texts, color), ""] if problems else []
    return "\n".join([*blocks, *map(str, verdicts)])


def _as_json(verdicts: Sequence["Verdict"]) -> str:
    files = [
        {
            "file": verdict.file,
            "valid": verdict.is_valid,
            "jobs": verdict.jobs,
            "problems": to_json(verdict.problems),
        }
        for verdict in verdicts
    ]
    valid = all(verdict.is_valid for verdict in verdicts)
    return _as_text_of_json({"valid": valid, "files": files})


def _as_sarif(verdicts: Sequence["Verdict"]) -> str:
    from runner.cli.sarif import sarif

    found = ((verdict.file, each) for verdict in verdicts for each in verdict.problems)
    return _as_text_of_json(sarif(found))


def _as_text_of_json(data: Mapping[str, Any]) -> str:
    from runner.terminal.github import harmless_json

    return harmless_json(json.dumps(data, indent=2, ensure_ascii=False))


def _as_annotations(verdicts: Sequence["Verdict"]) -> str:
    from runner.terminal.github import harmless

    found = [annotation(each, verdict.file) for verdict in verdicts for each in verdict.problems]
    return "\n".join([*found, *(harmless(str(verdict)) for verdict in verdicts)])
