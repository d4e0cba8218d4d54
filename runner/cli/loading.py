"""From a name on the command line to a pipeline that was checked."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InvalidInputError
from runner.model import Pipeline
from runner.project import Project, find_pipeline, find_project, home_folder
from runner.source import Document, read

if TYPE_CHECKING:
    from runner.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline that passed every check, and what it belongs to."""

    project: Project
    document: Document
    pipeline: Pipeline
    plugins: "Plugins"


def load_pipeline(name: str, folder: Path) -> Loaded:
    """Find, read and check the pipeline `name`. Raises InvalidInputError with every error in it."""
    from runner.plugins import load_plugins

    path = find_pipeline(name, folder)
    project = find_project(path)
    home = home_folder()
    plugins = load_plugins(project.folder / "plugins", home / "cache")
    document = read(path, shown_name(path, project))
    return Loaded(project, document, _checked(document, plugins, home), plugins)


def shown_name(path: Path, project: Project) -> str:
    """The file as users know it: from the project's root on."""
    resolved = path.resolve()
    if resolved.is_relative_to(project.root):
        return str(resolved.relative_to(project.root))
    return str(resolved)


def _checked(document: Document, plugins: "Plugins", home: Path) -> Pipeline:
    """A text that passed before is not checked again: that would load the schema's checker."""
    from runner.parse.build import ACTIONS, build

    mark = home / "cache" / "checked" / _fingerprint(document, plugins)
    if mark.exists():
        return build(document, ACTIONS)
    pipeline = _check(document, plugins)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return pipeline


def _check(document: Document, plugins: "Plugins") -> Pipeline:
    from runner.lint import lint
    from runner.parse import parse

    pipeline = parse(document)
    errors = [
        problem
        for problem in lint(pipeline, document, plugins.schemas)
        if problem.severity == "error"
    ]
    if errors:
        raise InvalidInputError(errors[0].message, problems=errors)
    return pipeline


def _fingerprint(document: Document, plugins: "Plugins") -> str:
    parts = [
        version("pipe-runner"),
        json.dumps(dict(plugins.schemas), sort_keys=True),
        document.file,
        document.text,
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
