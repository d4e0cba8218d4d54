"""From a name on the command line to a pipeline that was checked."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import __version__
from runner.errors import InvalidInputError, Problem
from runner.model import Pipeline
from runner.project import Project, find_pipeline, find_project, home_folder
from runner.source import Document, read

if TYPE_CHECKING:
    from runner.cli.called import Sources
    from runner.parse.gather import Gathered
    from runner.plugins import Plugins

#: What plugins bring, by what it is and its name -> the JSON schema of its settings.
Schemas = Mapping[str, Mapping[str, dict[str, Any]]]
#: Keys of steps that name what plugins bring.
_OF_PLUGINS = frozenset({"deploy", "verify"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline that can run, and what it belongs to; `warnings` are mistakes that do not stop it.

    `called` are the files of `pipeline.called`. `plugins` loads the project's plugins, once.
    """

    project: Project
    document: Document
    pipeline: Pipeline
    plugins: "Callable[[], Plugins]"
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

    path = find_pipeline(name, folder)
    project = find_project(path)
    home = home_folder()

    @cache
    def plugins() -> "Plugins":
        from runner.plugins import load_plugins

        return load_plugins(project.folder / "plugins", home / "cache")

    document = read(path, shown_name(path, project))
    reader = Reader(project.root, sources(project, home) if sources else None)
    gathered = gather(document, document.file, reader)
    names_plugins = any(map(_names_plugin, _data(document, gathered)))
    schemas = plugins().schemas if names_plugins else {}
    pipeline, warnings = _checked(document, gathered, schemas, home)
    return Loaded(project, document, pipeline, plugins, warnings, gathered.documents)


def shown_name(path: Path, project: Project) -> str:
    """The file as users know it: from the project's root on."""
    resolved = path.resolve()
    if resolved.is_relative_to(project.root):
        return str(resolved.relative_to(project.root))
    return str(resolved)


def _data(document: Document, gathered: "Gathered") -> Iterator[Any]:
    return (each.data for each in (document, *gathered.documents.values()))


def _names_plugin(data: Any) -> bool:
    """Whether something in it may be a plugin's: a step whose name no action has, a deployment."""
    left, seen = [data], set[int]()
    while left:
        each = left.pop()
        if isinstance(each, dict | list) and id(each) not in seen:
            # An alias gives the same value again.
            seen.add(id(each))
            if isinstance(each, dict) and _is_of_plugins(each):
                return True
            left += each.values() if isinstance(each, dict) else each
    return False


def _is_of_plugins(step: dict[Any, Any]) -> bool:
    uses = step.get("uses")
    return (isinstance(uses, str) and "/" not in uses) or not _OF_PLUGINS.isdisjoint(step)


def _checked(
    document: Document, gathered: "Gathered", schemas: Schemas, home: Path
) -> tuple[Pipeline, tuple[Problem, ...]]:
    """What passed before is not checked again: that would load the schema's checker."""
    from runner.parse.build import build

    mark = home / "cache" / "checked" / _fingerprint(document, gathered, schemas)
    if mark.exists():
        called = {name: build(each) for name, each in gathered.documents.items()}
        return replace(build(document), called=called), ()
    pipeline, warnings = _check(document, gathered, schemas)
    if not warnings:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return pipeline, warnings


def _check(
    document: Document, gathered: "Gathered", schemas: Schemas
) -> tuple[Pipeline, tuple[Problem, ...]]:
    from runner.lint import NULL_AT_RUN_TIME, Brought, review_all
    from runner.lint.findings import by_position

    reports = review_all({"": document, **gathered.documents}, Brought(**schemas))
    found = [*gathered.problems, *(each for report in reports.values() for each in report.problems)]
    errors = sorted((each for each in found if each.severity == "error"), key=by_position)
    fatal = [problem for problem in errors if problem.code not in NULL_AT_RUN_TIME]
    pipelines = {name: report.pipeline for name, report in reports.items() if report.pipeline}
    main = pipelines.pop("", None)
    if fatal or main is None:
        raise InvalidInputError(fatal[0].message, problems=errors)
    warnings = tuple(replace(problem, severity="warning") for problem in errors)
    return replace(main, called=pipelines), warnings


def _fingerprint(document: Document, gathered: "Gathered", schemas: Schemas) -> str:
    files = [document, *gathered.documents.values()]
    parts = [
        __version__,
        json.dumps(schemas, sort_keys=True),
        *map(str, gathered.problems),
        *(part for file in files for part in (file.file, file.text)),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
