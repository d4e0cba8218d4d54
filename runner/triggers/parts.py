"""The files that a pipeline is made of besides its own: called pipelines, local actions, settings."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from runner.actions.reference import LocalAction, parse_reference
from runner.errors import InvalidInputError
from runner.model import Pipeline, Step
from runner.project import Project

#: What is around the pipelines of a project and has a say in what they do.
_SETTINGS = ("pipe.yaml", "pipelines/pipe.yaml", "plugins")


def parts_of(pipeline: Pipeline, project: Project) -> frozenset[str]:
    """Files and folders, from the project's root on; what changes in one of them counts always."""
    home = PurePosixPath(project.folder.relative_to(project.root))
    settings = (str(home / name) for name in _SETTINGS)
    everything = (pipeline, *pipeline.called.values())
    actions = (path for each in everything for path in _actions(each))
    return frozenset([pipeline.file, *pipeline.called, *settings, *actions])


def is_in(path: str, parts: Iterable[str]) -> bool:
    """Whether it is one of these, or in one that is a folder."""
    place = PurePosixPath(path)
    return any(place.is_relative_to(part) for part in parts)


def _actions(pipeline: Pipeline) -> Iterator[str]:
    for job in pipeline.jobs.values():
        for step in _all_steps(job.steps):
            if (path := _local(step.uses)) is not None:
                yield path


def _all_steps(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _all_steps(step.parallel)


def _local(uses: str | None) -> str | None:
    """The folder of an action that is in the project; an expression names none that is known."""
    try:
        reference = parse_reference(uses or "")
    except InvalidInputError:
        return None
    if not isinstance(reference, LocalAction):
        return None
    path = PurePosixPath(reference.path)
    # An action that is the project itself, or outside of it, is nothing that stands apart.
    return str(path) if path.parts and ".." not in path.parts else None
