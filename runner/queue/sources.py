"""What jobs with `sources` depend on outside of their pipeline, found when their run is queued."""

import hashlib
import itertools
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import PipeError
from runner.model import Job, Pipeline, Step
from runner.plan import called_pipelines
from runner.project import SourceFiles

#: file of a pipeline -> id of a job -> what changes with all that the job depends on outside of it
Digests = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Source:
    """What is around the pipelines of a run: files, which are in the folder `tree`, the variables
    that every step gets besides, and what `vars` has in each environment."""

    files: SourceFiles
    tree: Path
    env: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def comparison(
    pipeline: Pipeline,
    source: Callable[[], Source | None],
    images: Mapping[str, str],
    *,
    reuse: bool = True,
) -> dict[str, Any]:
    """Entries for the `options` of a submission, by which its jobs are compared with earlier ones.

    There are none if no job has `sources`. `source` is asked for what it is then; None is for a run
    without a copy of it. `images` says what labels stand for. Without `reuse` all jobs run, and what
    they do counts for later runs.
    """
    pipelines = (pipeline, *called_pipelines(pipeline).values())
    if not any(job.sources for each in pipelines for job in each.jobs.values()):
        return {}
    known: dict[str, Any] = {"reuse": reuse, "images": dict(images)}
    compared = source()
    return {**known, "sources": source_digests(pipeline, compared)} if compared else known


def source_digests(pipeline: Pipeline, source: Source) -> Digests:
    """What each job with `sources` depends on outside of its pipeline, if they match a file."""
    pipelines = (pipeline, *called_pipelines(pipeline).values())
    found = {each.file: dict(_digests(each, source)) for each in pipelines}
    return {file: digests for file, digests in found.items() if digests}


def _digests(pipeline: Pipeline, source: Source) -> Iterator[tuple[str, str]]:
    for job in pipeline.jobs.values():
        if matching := _matching(job, source.files):
            actions = _folders(job.steps, source.tree, set())
            paths = itertools.chain(matching, *map(source.files.below, actions))
            vars_ = source.environments if job.environment else {}
            given = json.dumps([dict(source.env), vars_], sort_keys=True)
            text = f"{source.files.digest(paths)} {given}"
            yield job.id, hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _matching(job: Job, files: SourceFiles) -> list[str]:
    from runner.engines.globs import parse_patterns, selects

    patterns = parse_patterns(job.sources, "/", "/~")
    return files.matching(lambda path: selects(patterns, path)) if patterns else []


def _folders(steps: Iterable[Step], tree: Path, seen: set[str]) -> Iterator[str]:
    """The folders of the actions of this source that the steps use, and that those use."""
    for step in steps:
        yield from _folders(step.parallel, tree, seen)
        folder = _folder(step.uses)
        if folder and folder not in seen:
            seen.add(folder)
            yield folder
            yield from _folders(_steps_of(folder, tree), tree, seen)


def _folder(uses: str | None) -> str:
    """The folder of an action of this source; empty for all else, and for one outside of it."""
    if not uses:
        return ""
    from runner.actions.reference import LocalAction, parse_reference

    with suppress(PipeError):
        reference = parse_reference(uses)
        if isinstance(reference, LocalAction):
            folder = posixpath.normpath(reference.path)
            return "" if folder.startswith("..") else folder
    return ""


def _steps_of(folder: str, tree: Path) -> tuple[Step, ...]:
    from runner.actions.definition import Composite
    from runner.actions.folder import action_at

    with suppress(PipeError):  # the run will tell
        action = action_at(tree, tree / folder, folder)
        if action and isinstance(action.runs, Composite):
            return action.runs.steps
    return ()
