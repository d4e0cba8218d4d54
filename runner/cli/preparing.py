"""From a pipeline and what was typed to a plan that could start."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.cli.from_failed import taken_over
from runner.cli.loading import Loaded
from runner.cli.typed import Options
from runner.errors import InvalidInputError, Problem
from runner.expressions import to_string
from runner.inputs import typed_inputs
from runner.model import Pipeline
from runner.plan import Plan, called_pipelines, plan, select
from runner.project import RunFacts, github_context
from runner.queue import JobOutcome
from runner.secrets import parse_assignment, read_secret_file


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


def prepare(loaded: Loaded, options: Options) -> Preparation:
    """Decide all that can be decided before anything runs. Raises InvalidInputError."""
    pipeline = select(loaded.pipeline, set(options.jobs)) if options.jobs else loaded.pipeline
    _refuse_unsupported(pipeline, loaded)
    event = options.event or _default_event(loaded.pipeline)
    inputs = typed_inputs(loaded.pipeline.inputs, options.inputs)
    payload = _payload(options.event_file, event, inputs)
    contexts = {
        "github": _github(loaded, event, payload),
        "inputs": inputs,
        "vars": {**loaded.project.config.vars, **options.variables},
    }
    wanted = plan(pipeline, contexts, _legs(options.matrix) or None)
    prepared = Preparation(pipeline, wanted, contexts, event, _secrets(options))
    if options.from_failed is None:
        return prepared
    reused = taken_over(options.from_failed, loaded, pipeline, wanted, contexts)
    return replace(prepared, reused=reused)


def _default_event(pipeline: Pipeline) -> str:
    preferred = ("workflow_dispatch", "push", "pull_request")
    named = [event for event in preferred if event in pipeline.on]
    return next(iter([*named, *pipeline.on]), "workflow_dispatch")


def _payload(file: str | None, event: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    if file is None:
        given: dict[str, Any] = {}
    else:
        try:
            given = json.loads(Path(file).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidInputError(f"cannot read the event in {file}: {error}") from error
        if not isinstance(given, dict):
            raise InvalidInputError(f"the event in {file} is not a JSON object")
    if event == "workflow_dispatch":
        given = {"inputs": {name: to_string(value) for name, value in inputs.items()}, **given}
    return given


def _github(loaded: Loaded, event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    facts = RunFacts(pipeline=loaded.pipeline.name or "", file=loaded.document.file)
    return github_context(loaded.project, event, payload, facts)


def _legs(given: Sequence[str]) -> dict[str, set[str]]:
    legs: dict[str, set[str]] = {}
    for entry in given:
        name, colon, value = entry.partition(":")
        if not name or not colon:
            raise InvalidInputError(f"--matrix takes KEY:VALUE, not `{entry}`")
        legs.setdefault(name, set()).add(value)
    return legs


def _secrets(options: Options) -> dict[str, str]:
    found = read_secret_file(Path(options.secret_file)) if options.secret_file else {}
    return {**found, **dict(parse_assignment(text, os.environ) for text in options.secrets)}


def _refuse_unsupported(pipeline: Pipeline, loaded: Loaded) -> None:
    problems = [
        Problem(
            "not-supported-yet",
            f"`{path[-1]}` is valid, but this version cannot run it yet",
            loaded.document_of(each).locate(path, key=True),
            "remove it, or run the jobs that do without it with `-j JOB`",
        )
        for each in (pipeline, *called_pipelines(pipeline).values())
        for path in _unsupported(each, is_called=each is not pipeline)
    ]
    if problems:
        raise InvalidInputError(problems[0].message, problems=problems)


def _unsupported(pipeline: Pipeline, *, is_called: bool) -> list[tuple[str | int, ...]]:
    return [
        *pipeline.unsupported,
        *(path for job in pipeline.jobs.values() for path in job.unsupported),
        # Whoever calls it would have to wait for its group.
        *([("concurrency",)] if is_called and pipeline.concurrency else []),
    ]
