"""The whole result of a run as one JSON value, for programs that come after it."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from runner.events import Annotation, Event
from runner.terminal.ledger import Attempt, Job, Ledger, Step


def result(ledger: Ledger) -> dict[str, Any]:
    """Run, jobs, attempts, steps; `result` is null for what did not come to its end."""
    started, finished = ledger.started, ledger.finished
    return {
        "run": started.run if started else None,
        "name": started.name if started else None,
        "file": started.file if started else None,
        "result": finished.result if finished else None,
        "reason": finished.reason if finished else "",
        **_times(started, finished),
        "jobs": [_job(job, ledger) for job in ledger.jobs.values()],
        "annotations": [_annotation(each) for each in ledger.annotations],
        "notes": [
            {"level": note.level, "job": note.job, "message": note.message}
            for note in ledger.notes
            if note.level != "debug"
        ],
    }


def _job(job: Job, ledger: Ledger) -> dict[str, Any]:
    end = job.finished
    summaries = [each.text for each in ledger.summaries if each.job == job.key]
    return {
        "key": job.key,
        "name": job.name,
        "result": end.result if end else None,
        "reason": end.reason if end else "",
        "continue_on_error": end.softly if end else False,
        "reused_from": (end.reused_from or None) if end else None,
        "outputs": dict(end.outputs) if end else {},
        "environment": end.environment if end else "",
        "environment_url": end.environment_url if end else "",
        "summary": "\n".join(summaries),
        "attempts": [_attempt(job.attempts[number]) for number in sorted(job.attempts)],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    end = attempt.finished
    return {
        "number": attempt.number,
        "image": attempt.started.image if attempt.started else "",
        "result": end.result if end else None,
        "reason": end.reason if end else "",
        **_times(attempt.started, end),
        "steps": [_step(number, attempt.steps[number]) for number in sorted(attempt.steps)],
    }


def _step(number: int, step: Step) -> dict[str, Any]:
    known, end = step.finished or step.started, step.finished
    return {
        "number": number,
        "id": known.id if known else "",
        "name": known.name if known else "",
        "outcome": end.outcome if end else None,
        "conclusion": end.conclusion if end else None,
        "exit_code": end.exit_code if end else None,
        "reason": end.reason if end else "",
        "position": str(known.position) if known and known.position else None,
        **_times(step.started, end),
    }


def _annotation(found: Annotation) -> dict[str, Any]:
    left_out: Iterable[str] = ("run", "time")
    return {name: value for name, value in asdict(found).items() if name not in left_out}


def _times(started: Event | None, finished: Event | None) -> dict[str, float | None]:
    return {
        "started": started.time if started else None,
        "finished": finished.time if finished else None,
    }
