"""`pipe show RUN`: one run with its jobs, steps, annotations and outputs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, took, verdict
from runner.cli.run_number import RUN_NUMBER
from runner.cli.standing import Standing, standing
from runner.terminal.words import counted, visible, visible_lines

if TYPE_CHECKING:
    from runner.events import Event
    from runner.store.reads import RunDetail
    from runner.store.rows import Approval
    from runner.store.tables import AnnotationRow, AttemptRow, JobRow, RunRow, StepRow


@click.command("show", short_help="Show one run: its jobs, steps, annotations and outputs.")
@click.argument("run", type=RUN_NUMBER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(run: int, as_json: bool) -> None:
    """Show RUN, by its number."""
    from runner.queue import Situation
    from runner.store import approvals, reads

    with open_store() as store:
        detail = reads.run(store, run)
        stands = standing(store, Situation(store, store.now()), run)
        priority = reads.priority(store, run)
        said = approvals.of_run(store.notes, run)
        told = _told((event for _, event in store.events(run)), stands, priority, said)
    shown = json.dumps(_as_json(detail, told), indent=2) if as_json else _as_text(detail, told)
    click.echo(shown)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a run tells beside its rows: why jobs wait, its priority, the environments of jobs with
    addresses, summaries, and what people said."""

    stands: Standing
    priority: int
    environments: Mapping[str, tuple[str, str]]
    summaries: Mapping[str, str]
    approvals: "Sequence[Approval]"


def _told(
    events: "Iterable[Event]", stands: Standing, priority: int, said: "Sequence[Approval]"
) -> _Told:
    from runner.events import JobFinished, SummaryWritten

    environments: dict[str, tuple[str, str]] = {}
    summaries: dict[str, str] = {}
    for event in events:
        if isinstance(event, JobFinished) and event.environment:
            environments[event.job] = (event.environment, event.environment_url)
        if isinstance(event, SummaryWritten):
            before = summaries.get(event.job, "")
            summaries[event.job] = f"{before}{event.text.rstrip()}\n"
    return _Told(stands, priority, environments, summaries, said)


def _as_text(detail: "RunDetail", told: _Told) -> str:
    run = detail.run
    name = visible(f"{run.name} ({run.file})")
    reason = run.reason or told.stands.reason
    lines = [
        f"run {run.id}: {name}, {verdict(run.state, run.result, reason)}",
        f"{visible(run.event)}, {_times(run)}",
        *_of_the_queue(run, told.priority),
        *_progress(told.stands),
    ]
    for job in detail.jobs:
        lines += ["", *_job(job, detail, told.stands.of_job(job.key))]
        lines += _environment(told.environments.get(job.key))
        lines += [_approval(each) for each in told.approvals if each.job == job.key]
    if detail.annotations:
        lines += ["", *(_annotation(each) for each in detail.annotations)]
    for job in detail.jobs:
        if summary := visible_lines(told.summaries.get(job.key, "")):
            indented = (f"  {line}".rstrip() for line in summary)
            lines += ["", f"Summary of {visible(job.name)}", *indented]
    return "\n".join(lines)


def _times(run: "RunRow") -> str:
    if run.started_at is None:
        return f"queued {moment(run.created_at)}"
    return f"started {moment(run.started_at)}, took {took(run.started_at, run.finished_at)}"


def _of_the_queue(run: "RunRow", priority: int) -> Iterator[str]:
    if not run.process:
        urgent = f", priority {priority}" if priority else ""
        again = f", run {run.rerun_of} again" if run.rerun_of is not None else ""
        owner = f", owner {visible(run.owner)}" if run.owner else ""
        yield f"queue {visible(run.queue)}{owner}{urgent}{again}"


def _progress(stands: Standing) -> Iterator[str]:
    done = stands.progress
    if done:
        jobs = f"{done.jobs_done} of {counted(done.jobs, 'job')}"
        yield f"{done.percent} % done: {jobs}, {done.steps_done} of {counted(done.steps, 'step')}"


def _environment(found: tuple[str, str] | None) -> list[str]:
    return [f"  environment {visible(' '.join(found).strip())}"] if found else []


def _approval(said: "Approval") -> str:
    comment = f": {said.comment}" if said.comment else ""
    words = f"{said.environment} {said.verdict} by {said.name}, {moment(said.time)}{comment}"
    return f"  {visible(words)}"


def _job(job: "JobRow", detail: "RunDetail", waits: str) -> list[str]:
    attempts = [each for each in detail.attempts if each.job == job.key]
    lines = [f"{visible(job.name)}: {verdict(job.state, job.result, job.reason or waits)}"]
    for attempt in attempts:
        if len(attempts) > 1 or job.attempt > attempt.number:
            state = verdict("running", attempt.result, attempt.reason)
            lines.append(f"  attempt {attempt.number}: {state}")
        lines += [
            _step(step, attempt)
            for step in detail.steps
            if (step.job, step.attempt) == (job.key, attempt.number)
        ]
    outputs = json.loads(job.outputs).items()
    lines += [f"  output {name}: {visible(value)}" for name, value in outputs]
    return lines


def _step(step: "StepRow", attempt: "AttemptRow") -> str:
    seconds = took(step.started_at, step.finished_at or attempt.finished_at)
    state = "running" if attempt.finished_at is None else "did not end"
    result = verdict(state, step.conclusion, step.reason)
    failed = step.outcome == "failure"
    code = f", exit code {step.exit_code}" if failed and step.exit_code is not None else ""
    place = f"  {visible(step.position)}" if failed and step.position else ""
    return f"  {visible(step.name)}: {result}{code}" + (f", {seconds}" if seconds else "") + place


def _annotation(each: "AnnotationRow") -> str:
    place = f"{each.file}:{each.line}: " if each.file else ""
    return f"{each.level}: {visible(place + each.message)}"


def _as_json(detail: "RunDetail", told: _Told) -> dict[str, Any]:
    run = detail.run.model_dump()
    run["reason"] = run["reason"] or told.stands.reason
    run |= {"priority": told.priority, **told.stands.to_json()}
    for job in (jobs := [each.model_dump() for each in detail.jobs]):
        job["reason"] = job["reason"] or told.stands.of_job(job["key"])
        job |= told.stands.job_to_json(job["key"])
        job["outputs"] = json.loads(job["outputs"])
        del job["token"]
        job["environment"], job["environment_url"] = told.environments.get(job["key"], ("", ""))
        job["summary"] = told.summaries.get(job["key"], "")
    return {
        **run,
        "jobs": jobs,
        "attempts": [each.model_dump() for each in detail.attempts],
        "steps": [each.model_dump() for each in detail.steps],
        "approvals": [asdict(each) for each in told.approvals],
        "annotations": [each.model_dump() for each in detail.annotations],
    }
