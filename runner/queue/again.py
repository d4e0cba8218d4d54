"""Runs that are queued once more: the same pipeline, inputs and source, under a new number."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.errors import InvalidInputError, PipeError
from runner.model import Pipeline
from runner.parse import parse
from runner.plan import Plan, plan, select
from runner.queue.entering import Entry
from runner.queue.outcome import JobOutcome
from runner.reuse import Earlier, reusable
from runner.source import load
from runner.store import Store, hot
from runner.store.rows import PRIORITY_SECONDS, StoredRun, states_of


def read_ended(store: Store, number: int) -> StoredRun:
    """A run that has ended. Raises InvalidInputError if it has not, or cannot be read."""
    try:
        run = hot.load_run(store.notes, number)
    except PipeError:
        raise
    except Exception as error:
        # That may be what it died of.
        what = f"{type(error).__name__}: {error}"
        raise InvalidInputError(f"run {number} cannot be read any more ({what})") from error
    if run.state != "finished":
        raise InvalidInputError(
            f"run {number} has not ended yet",
            hint=f"wait for it, or stop it: `pipe cancel {number}`",
        )
    return run


def again(run: StoredRun, snapshot: Mapping[str, Any], *, from_start: bool) -> Entry:
    """A new run of the same submission, on that snapshot of the same source.

    Unless it is to do all `from_start`, it takes over the jobs that have succeeded. Raises
    InvalidInputError if its pipeline cannot be read now.
    """
    pipeline = _parsed(run)
    submission, options = run.submission, run.submission.options
    wanted = select(pipeline, set(options["jobs"])) if options.get("jobs") else pipeline
    legs = {name: set(values) for name, values in options.get("legs", {}).items()}
    planned = plan(wanted, submission.contexts, legs or None)
    reused = {} if from_start else _taken_over(run, wanted, planned)
    submission = replace(submission, snapshot=snapshot, submission_key=None, rerun_of=run.id)
    return Entry(submission, planned, reused, patience=_patience(run))


def _parsed(run: StoredRun) -> Pipeline:
    its = run.submission
    called = {name: parse(load(text, name)) for name, text in its.called.items()}
    return replace(parse(load(its.text, its.file)), called=called)


def _taken_over(run: StoredRun, pipeline: Pipeline, planned: Plan) -> dict[str, JobOutcome]:
    earlier = Earlier(pipeline, run.plan, states_of(run))
    found = reusable(pipeline, planned, run.submission.contexts, earlier)
    reason = f"reused from run {run.id}"
    return {key: JobOutcome("success", outputs, reason) for key, outputs in found.items()}


def _patience(run: StoredRun) -> float | None:
    """How long it may wait for its start, as it could then."""
    if run.expires_at is None:
        return None
    rank = next((job.rank for job in run.jobs.values()), run.created_at)
    entered_at = rank + run.submission.priority * PRIORITY_SECONDS
    return max(0.0, run.expires_at - entered_at)
