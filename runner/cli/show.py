"""`pipe show RUN`: one run with its jobs, steps, annotations and outputs."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, took, verdict, waiting
from runner.cli.run_number import RUN_NUMBER
from runner.terminal.words import visible

if TYPE_CHECKING:
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
    lines = (
        [json.dumps(_as_json(detail, reasons), indent=2)] if as_json else _as_text(detail, reasons)
    )
    click.echo("\n".join(lines))


def _as_text(detail: "RunDetail", reasons: Mapping[str, str]) -> list[str]:
    run = detail.run
    name = visible(f"{run.name} ({run.file})")
    lines = [
        f"run {run.id}: {name}, {verdict(run.state, run.result, run.reason or reasons.get('', ''))}",
        f"{visible(run.event)}, started {moment(run.started_at)}, "
        f"took {took(run.started_at, run.finished_at)}",
    ]
    for job in detail.jobs:
        lines += ["", *_job(job, detail, reasons.get(job.key, ""))]
    if detail.annotations:
        lines += ["", *(_annotation(each) for each in detail.annotations)]
    return lines


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


def _as_json(detail: "RunDetail", reasons: Mapping[str, str]) -> dict[str, Any]:
    run = detail.run.model_dump()
    run["reason"] = run["reason"] or reasons.get("", "")
    for job in (jobs := [each.model_dump() for each in detail.jobs]):
        job["reason"] = job["reason"] or reasons.get(job["key"], "")
        job["outputs"] = json.loads(job["outputs"])
        del job["token"]
    return {
        **run,
        "jobs": jobs,
        "attempts": [each.model_dump() for each in detail.attempts],
        "steps": [each.model_dump() for each in detail.steps],
        "annotations": [each.model_dump() for each in detail.annotations],
    }
