"""From a name on the command line to a pipeline that was checked."""

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InvalidInputError, Problem
from runner.model import Pipeline
from runner.project import Project, find_pipeline, find_project, home_folder
from runner.source import Document, read

if TYPE_CHECKING:
    from runner.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline that can run, and what it belongs to; `warnings` are mistakes that do not stop it."""

    project: Project
    document: Document
    pipeline: Pipeline
    plugins: "Plugins"
    warnings: tuple[Problem, ...] = ()


def load_pipeline(name: str, folder: Path) -> Loaded:
    """Find, read and check the pipeline `name`. Raises InvalidInputError with every error in it."""
    from runner.plugins import load_plugins

    path = find_pipeline(name, folder)
    project = find_project(path)
    home = home_folder()
    plugins = load_plugins(project.folder / "plugins", home / "cache")
    document = read(path, shown_name(path, project))
    pipeline, warnings = _checked(document, plugins, home)
    return Loaded(project, document, pipeline, plugins, warnings)


def shown_name(path: Path, project: Project) -> str:
    """The file as users know it: from the project's root on."""
    resolved = path.resolve()
    if resolved.is_relative_to(project.root):
        return str(resolved.relative_to(project.root))
    return str(resolved)


def _checked(
    document: Document, plugins: "Plugins", home: Path
) -> tuple[Pipeline, tuple[Problem, ...]]:
    """A text that passed before is not checked again: that would load the schema's checker."""
    from runner.parse.build import build

    mark = home / "cache" / "checked" / _fingerprint(document, plugins)
    if mark.exists():
        return build(document), ()
    pipeline, warnings = _check(document, plugins)
    if not warnings:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return pipeline, warnings


def _check(document: Document, plugins: "Plugins") -> tuple[Pipeline, tuple[Problem, ...]]:
    from runner.lint import NULL_AT_RUN_TIME, review

    report = review(document, plugins.schemas)
    errors = [problem for problem in report.problems if problem.severity == "error"]
    fatal = [problem for problem in errors if problem.code not in NULL_AT_RUN_TIME]
    if fatal or report.pipeline is None:
        raise InvalidInputError(fatal[0].message, problems=errors)
    return report.pipeline, tuple(replace(problem, severity="warning") for problem in errors)


def _fingerprint(document: Document, plugins: "Plugins") -> str:
    parts = [
        version("pipe-runner"),
        json.dumps(dict(plugins.schemas), sort_keys=True),
        document.file,
        document.text,
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
