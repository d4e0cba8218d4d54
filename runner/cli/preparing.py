"""From a pipeline and what was typed to a plan that could start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.cli.given_secrets import Ask, given_secrets
from runner.cli.loading import Loaded
from runner.cli.occasion import Occasion
from runner.cli.typed import Options
from runner.errors import InvalidInputError, Problem
from runner.model import Path, Pipeline
from runner.plan import Plan, called_pipelines, plan, select
from runner.queue import JobOutcome


@dataclass(frozen=True, slots=True)
class Preparation:
    """A run that could start: nothing about it is recorded yet."""

    pipeline: Pipeline
    plan: Plan
    contexts: Mapping[str, Any]
    event: str
    secrets: Mapping[str, str]
    #: What is known already of jobs that an earlier run did, by key.
    reused: Mapping[str, JobOutcome] = field(default_factory=dict)


def prepare(loaded: Loaded, options: Options, occasion: Occasion, ask: Ask = None) -> Preparation:
    """Decide all that can be decided before anything runs. Raises InvalidInputError."""
    contexts = occasion.contexts
    pipeline = select(loaded.pipeline, set(options.jobs)) if options.jobs else loaded.pipeline
    _refuse_unsupported(pipeline, loaded)
    wanted = plan(pipeline, contexts, legs(options.matrix) or None)
    secrets = given_secrets(options, ask)
    prepared = Preparation(pipeline, wanted, contexts, occasion.event, secrets)
    if options.from_failed is None:
        return prepared
    from runner.cli.from_failed import taken_over

    reused = taken_over(options.from_failed, loaded, pipeline, wanted, contexts)
    return replace(prepared, reused=reused)


def legs(given: Sequence[str]) -> dict[str, set[str]]:
    """The values that `--matrix KEY:VALUE` asks for, by key."""
    found: dict[str, set[str]] = {}
    for entry in given:
        name, colon, value = entry.partition(":")
        if not name or not colon:
            raise InvalidInputError(f"--matrix takes KEY:VALUE, not `{entry}`")
        found.setdefault(name, set()).add(value)
    return found


def _refuse_unsupported(pipeline: Pipeline, loaded: Loaded) -> None:
    problems = [
        Problem(
            "not-supported-yet",
            _why_not(path),
            loaded.document_of(each).locate(path, key=True),
            "remove it, or run the jobs that do without it with `-j JOB`",
        )
        for each in (pipeline, *called_pipelines(pipeline).values())
        for path in _unsupported(each)
    ]
    if problems:
        raise InvalidInputError(problems[0].message, problems=problems)


def _unsupported(pipeline: Pipeline) -> list[Path]:
    return [path for job in pipeline.jobs.values() for path in job.unsupported]


def _why_not(path: Path) -> str:
    if path[0] == "jobs" and path[2:] == ("snapshot",):
        return "`snapshot` makes an image for GitHub's own machines, which there are none of here"
    return f"`{path[-1]}` is valid, but this version cannot run it yet"
