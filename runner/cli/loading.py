"""From a name on the command line to a pipeline that was checked."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InvalidInputError, Problem
from runner.model import Pipeline
from runner.project import Project, find_pipeline, find_project, home_folder
from runner.source import Document, read

if TYPE_CHECKING:
    from runner.cli.called import Sources
    from runner.parse.gather import Gathered
    from runner.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline that can run, and what it belongs to; `warnings` are mistakes that do not stop it.

    `called` are the files of `pipeline.called`.
    """

    project: Project
    document: Document
    pipeline: Pipeline
    plugins: "Plugins"
    warnings: tuple[Problem, ...] = ()
    called: Mapping[str, Document] = field(default_factory=dict)

    def document_of(self, pipeline: Pipeline) -> Document:
        """The file of the pipeline, or of one that it calls."""
        return self.called.get(pipeline.file, self.document)


def load_pipeline(
    name: str, folder: Path, sources: "Callable[[Project, Path], Sources] | None" = None
) -> Loaded:
    """Find, read and check the pipeline `name`, and all that it calls.

    `sources` makes what files of other repositories come from, for a project and a home. Raises
    InvalidInputError with every error in the files.
    """
    from runner.cli.called import Reader
    from runner.parse.gather import gather
    from runner.plugins import load_plugins

    path = find_pipeline(name, folder)
    project = find_project(path)
    home = home_folder()
    plugins = load_plugins(project.folder / "plugins", home / "cache")
    document = read(path, shown_name(path, project))
    reader = Reader(project.root, sources(project, home) if sources else None)
    gathered = gather(document, document.file, reader)
    pipeline, warnings = _checked(document, gathered, plugins, home)
    return Loaded(project, document, pipeline, plugins, warnings, gathered.documents)


def shown_name(path: Path, project: Project) -> str:
    """The file as users know it: from the project's root on."""
    resolved = path.resolve()
    if resolved.is_relative_to(project.root):
        return str(resolved.relative_to(project.root))
    return str(resolved)


def _checked(
    document: Document, gathered: "Gathered", plugins: "Plugins", home: Path
) -> tuple[Pipeline, tuple[Problem, ...]]:
    """What passed before is not checked again: that would load the schema's checker."""
    from runner.parse.build import build

    mark = home / "cache" / "checked" / _fingerprint(document, gathered, plugins)
    if mark.exists():
        called = {name: build(each) for name, each in gathered.documents.items()}
        return replace(build(document), called=called), ()
    pipeline, warnings = _check(document, gathered, plugins)
    if not warnings:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return pipeline, warnings


def _check(
    document: Document, gathered: "Gathered", plugins: "Plugins"
) -> tuple[Pipeline, tuple[Problem, ...]]:
    from runner.lint import NULL_AT_RUN_TIME, Brought, review_all
    from runner.lint.findings import by_position

    reports = review_all({"": document, **gathered.documents}, Brought(**plugins.schemas))
    found = [*gathered.problems, *(each for report in reports.values() for each in report.problems)]
    errors = sorted((each for each in found if each.severity == "error"), key=by_position)
    fatal = [problem for problem in errors if problem.code not in NULL_AT_RUN_TIME]
    pipelines = {name: report.pipeline for name, report in reports.items() if report.pipeline}
    main = pipelines.pop("", None)
    if fatal or main is None:
        raise InvalidInputError(fatal[0].message, problems=errors)
    warnings = tuple(replace(problem, severity="warning") for problem in errors)
    return replace(main, called=pipelines), warnings


def _fingerprint(document: Document, gathered: "Gathered", plugins: "Plugins") -> str:
    files = [document, *gathered.documents.values()]
    parts = [
        version("pipe-runner"),
        json.dumps(plugins.schemas, sort_keys=True),
        *map(str, gathered.problems),
        *(part for file in files for part in (file.file, file.text)),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
