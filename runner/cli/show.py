"""`pipe show RUN`: one run with its jobs, steps, annotations and outputs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, took, verdict, waiting
from runner.cli.run_number import RUN_NUMBER
from runner.terminal.words import visible, visible_lines

if TYPE_CHECKING:
    from runner.events import Event
    from runner.store.reads import RunDetail
    from runner.store.tables import AnnotationRow, JobRow, StepRow


@click.command("show", short_help="Show one run: its jobs, steps, annotations and outputs.")
@click.argument("run", type=RUN_NUMBER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(run: int, as_json: bool) -> None:
    """Show RUN, by its number."""
    from runner.store import reads

    with open_store() as store:
        detail = reads.run(store, run)
        reasons = {job: reason for (_, job), reason in waiting(store, run).items()}
        told = _told((event for _, event in store.events(run)), reasons)
    shown = json.dumps(_as_json(detail, told), indent=2) if as_json else _as_text(detail, told)
    click.echo(shown)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a run tells beside its rows: why jobs wait, their environments with addresses, and
    summaries."""

    reasons: Mapping[str, str]
    environments: Mapping[str, tuple[str, str]]
    summaries: Mapping[str, str]


def _told(events: "Iterable[Event]", reasons: Mapping[str, str]) -> _Told:
    from runner.events import JobFinished, SummaryWritten

    environments: dict[str, tuple[str, str]] = {}
    summaries: dict[str, str] = {}
    for event in events:
        if isinstance(event, JobFinished) and event.environment:
            environments[event.job] = (event.environment, event.environment_url)
        if isinstance(event, SummaryWritten):
            before = summaries.get(event.job, "")
            summaries[event.job] = f"{before}{event.text.rstrip()}\n"
    return _Told(reasons, environments, summaries)


def _as_text(detail: "RunDetail", told: _Told) -> str:
    run = detail.run
    name = visible(f"{run.name} ({run.file})")
    reason = run.reason or told.reasons.get("", "")
    lines = [
        f"run {run.id}: {name}, {verdict(run.state, run.result, reason)}",
        f"{visible(run.event)}, started {moment(run.started_at)}, "
        f"took {took(run.started_at, run.finished_at)}",
    ]
    for job in detail.jobs:
        lines += ["", *_job(job, detail, told.reasons.get(job.key, ""))]
        lines += _environment(told.environments.get(job.key))
    if detail.annotations:
        lines += ["", *(_annotation(each) for each in detail.annotations)]
    for job in detail.jobs:
        if summary := visible_lines(told.summaries.get(job.key, "")):
            indented = (f"  {line}".rstrip() for line in summary)
            lines += ["", f"Summary of {visible(job.name)}", *indented]
    return "\n".join(lines)


def _environment(found: tuple[str, str] | None) -> list[str]:
    return [f"  environment {visible(' '.join(found).strip())}"] if found else []


def _job(job: "JobRow", detail: "RunDetail", waits: str) -> list[str]:
    attempts = [each for each in detail.attempts if each.job == job.key]
    lines = [f"{visible(job.name)}: {verdict(job.state, job.result, job.reason or waits)}"]
    for attempt in attempts:
        if len(attempts) > 1:
            state = verdict("running", attempt.result, attempt.reason)
            lines.append(f"  attempt {attempt.number}: {state}")
        lines += [
            _step(step)
            for step in detail.steps
            if (step.job, step.attempt) == (job.key, attempt.number)
        ]
    outputs = json.loads(job.outputs).items()
    lines += [f"  output {name}: {visible(value)}" for name, value in outputs]
    return lines


def _step(step: "StepRow") -> str:
    seconds = took(step.started_at, step.finished_at)
    result = verdict("running", step.conclusion, step.reason)
    failed = step.outcome == "failure"
    code = f", exit code {step.exit_code}" if failed and step.exit_code is not None else ""
    place = f"  {visible(step.position)}" if failed and step.position else ""
    return f"  {visible(step.name)}: {result}{code}" + (f", {seconds}" if seconds else "") + place


def _annotation(each: "AnnotationRow") -> str:
    place = f"{each.file}:{each.line}: " if each.file else ""
    return f"{each.level}: {visible(place + each.message)}"


def _as_json(detail: "RunDetail", told: _Told) -> dict[str, Any]:
    run = detail.run.model_dump()
    run["reason"] = run["reason"] or told.reasons.get("", "")
    for job in (jobs := [each.model_dump() for each in detail.jobs]):
        job["reason"] = job["reason"] or told.reasons.get(job["key"], "")
        job["outputs"] = json.loads(job["outputs"])
        del job["token"]
        job["environment"], job["environment_url"] = told.environments.get(job["key"], ("", ""))
        job["summary"] = told.summaries.get(job["key"], "")
    return {
        **run,
        "jobs": jobs,
        "attempts": [each.model_dump() for each in detail.attempts],
        "steps": [each.model_dump() for each in detail.steps],
        "annotations": [each.model_dump() for each in detail.annotations],
    }
