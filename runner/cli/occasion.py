"""The event that a run is for: what it is, what came with it, and whether it starts the pipeline."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.loading import Loaded
from runner.cli.typed import Options
from runner.errors import InvalidInputError, did_you_mean
from runner.events import Note, to_json
from runner.expressions import to_string
from runner.filters import Verdict, judge, occurrence
from runner.inputs import typed_inputs
from runner.model import Input, Pipeline
from runner.project import Project, RunFacts, changed_files, github_context
from runner.terminal.words import visible

if TYPE_CHECKING:
    from runner.terminal.mode import Mode

NOTHING_MORE: Mapping[str, Any] = {}
_WITH_INPUTS = ("workflow_dispatch", "workflow_call")
#: The event of runs for changed files.
WATCHED = "watch"


@dataclass(frozen=True, slots=True)
class Occasion:
    """An event with the contexts that it gives to all of a run, and what the pipeline says to it."""

    event: str
    contexts: Mapping[str, Any]
    verdict: Verdict


def occasion(
    loaded: Loaded,
    options: Options,
    usual: str = "",
    happened: Mapping[str, Any] = NOTHING_MORE,
) -> Occasion:
    """The event that was asked for, else `usual`, else the first that the pipeline is for.

    `happened` is what is known of its payload. Raises InvalidInputError.
    """
    pipeline, project = loaded.pipeline, loaded.project
    event = options.event or usual or _usual_event(pipeline)
    if event != usual:
        _refuse_unknown(event, pipeline)
    given = _read(options.event_file) if options.event_file else {}
    inputs = _inputs(loaded, options, event, given)
    payload = {**_known(pipeline, event, inputs), **happened, **given}
    facts = RunFacts(pipeline=pipeline.name or "", file=loaded.document.file)
    github = github_context(project, event, payload, facts)
    contexts = {
        "github": github,
        "inputs": inputs,
        "vars": {**project.config.vars, **options.variables},
    }
    whole = github["event"]
    message = _message(project, whole)
    told = occurrence(event, whole, lambda: changed_files(project, event, whole), message)
    return Occasion(event, contexts, judge(pipeline.on, told))


def not_started(occasion: Occasion, file: str, progress: "Mode") -> str:
    """The line that says why the pipeline does not run, in the form of that mode."""
    message = f"{file} does not run: {occasion.verdict.obstacle}"
    if progress == "json":
        return json.dumps(to_json(Note(run=0, time=time.time(), message=message)))
    return visible(message)


def remark(occasion: Occasion, options: Options) -> str:
    """What a developer may want to know of a run that goes on; empty when there is nothing."""
    verdict = occasion.verdict
    if options.event is None and verdict.obstacle:
        return visible(f"note: `{occasion.event}` would not start this: {verdict.obstacle}")
    if options.event is not None and verdict.assumed:
        return visible(f"note: {verdict.assumed}")
    return ""


def _usual_event(pipeline: Pipeline) -> str:
    preferred = ("workflow_dispatch", "push", "pull_request")
    named = [event for event in preferred if event in pipeline.on]
    return next(iter([*named, *pipeline.on]), "workflow_dispatch")


def _refuse_unknown(event: str, pipeline: Pipeline) -> None:
    if event in pipeline.on or event == "workflow_dispatch":
        return
    from runner.parse import schema

    events = schema()["definitions"]["event"]["enum"]
    if event not in events:
        hint = did_you_mean(event, events) or f"the pipeline reacts to: {', '.join(pipeline.on)}"
        raise InvalidInputError(f"there is no event `{event}`", hint=hint)


def _read(file: str) -> dict[str, Any]:
    try:
        given = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"cannot read the event in {file}: {error}") from error
    if not isinstance(given, dict):
        raise InvalidInputError(f"the event in {file} is not a JSON object")
    return given


def _inputs(
    loaded: Loaded, options: Options, event: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Those of the event, with what was typed over them; only runs by hand and calls have any.

    Whoever watches files runs by hand, too.
    """
    is_watched = event == WATCHED and options.event is None
    if event not in _WITH_INPUTS and not is_watched:
        if options.inputs:
            name = next(iter(options.inputs))
            hint = "leave out `--event`, or the input"
            raise InvalidInputError(f"a run for `{event}` has no input `{name}`", hint=hint)
        return {}
    in_file = given.get("inputs")
    from_file = in_file if isinstance(in_file, Mapping) else {}
    texts = {name: to_string(value) for name, value in from_file.items()}
    environments = loaded.project.config.environments
    declared = [_with_choices(each, tuple(environments)) for each in loaded.pipeline.inputs]
    return typed_inputs(declared, {**texts, **options.inputs})


def _with_choices(declared: Input, environments: tuple[str, ...]) -> Input:
    """Of an input that names an environment, those of the project can be chosen, if it has any."""
    if declared.type != "environment" or not environments:
        return declared
    return replace(declared, type="choice", options=environments)


def _message(project: Project, payload: Mapping[str, Any]) -> str:
    """The message of the newest commit of a pull request, if that is the one here."""
    commit = project.git.commit if project.git else None
    pull = payload.get("pull_request")
    head = pull.get("head") if isinstance(pull, Mapping) else None
    is_here = commit and isinstance(head, Mapping) and head.get("sha") == commit.sha
    return commit.message if commit and is_here else ""


def _known(pipeline: Pipeline, event: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline itself says about the event's payload."""
    if event == "workflow_dispatch":
        texts = {name: to_string(value) for name, value in inputs.items()}
        return {"inputs": texts, "workflow": pipeline.file}
    filters = pipeline.on.get(event)
    if event == "schedule" and isinstance(filters, list):
        crons = [entry.get("cron") for entry in filters if isinstance(entry, Mapping)]
        return {"schedule": crons[0]} if crons else {}
    return {}
