"""A run as its rows have it, what they mean, and how they are made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from runner import plan as planning
from runner.errors import InvalidInputError
from runner.plan import Plan
from runner.store import lines
from runner.store.connection import Database, Row
from runner.store.rows import StoredJob, StoredRun, Submission

#: Set by leasing and renewing alone, so that deciding about a run never writes back an old deadline.
_LEASE_COLUMNS = ("worker", "token", "lease_until")
JOB_COLUMNS = tuple(f.name for f in fields(StoredJob) if f.name not in _LEASE_COLUMNS)
#: What a job is found and leased by, from the start to the end.
FIXED_COLUMNS = ("key", "job", "owner", "rank")
RUN_COLUMNS = (
    *("id", "run_number", "version", "state", "result", "reason"),
    *("created_at", "started_at", "finished_at", "due_at", "expires_at", "deadline"),
)
SUBMISSION_COLUMNS = (
    *("file", "text", "project", "name", "process", "owner", "queue", "priority"),
    *("submission_key", "time_limit", "rerun_of"),
)
_MAPPINGS = ("called", "trigger", "contexts", "snapshot", "options")

SELECT_RUN = """
SELECT * FROM run JOIN submission ON submission.run = run.id WHERE run.id = :run
"""
SELECT_JOBS = f"SELECT {', '.join((*JOB_COLUMNS, *_LEASE_COLUMNS))} FROM job WHERE run = :run"


@dataclass(frozen=True, slots=True)
class RawRun:
    """What was read of a run; that it makes sense is not sure yet."""

    run: Row
    jobs: Sequence[Row]
    groups: Mapping[str, str]


def read(database: Database, run: int) -> RawRun:
    """Raises InvalidInputError for no such run."""
    values = {"run": run}
    found = database.dicts(SELECT_RUN, values)
    if not found:
        raise InvalidInputError(f"there is no run {run}", hint="`pipe runs` lists them")
    return RawRun(found[0], database.dicts(SELECT_JOBS, values), lines.groups_of(database, run))


def made(found: RawRun) -> StoredRun:
    """The run with its jobs in the order of the plan; raises anything if it is damaged."""
    row = found.run
    plan = _plan(row["plan"])
    jobs = {job["key"]: _job(job) for job in found.jobs}
    return StoredRun(
        submission=_submission(row),
        plan=plan,
        jobs={planned.key: jobs[planned.key] for planned in plan.jobs},
        cancel_requested=bool(row["cancel_requested"]),
        groups=found.groups,
        **_picked(row, RUN_COLUMNS),
    )


def run_row(run: StoredRun) -> dict[str, Any]:
    """All values of a new run and of its submission, by column."""
    submission = run.submission
    return state_row(run) | {
        "event": submission.trigger.get("event", ""),
        **{name: getattr(submission, name) for name in SUBMISSION_COLUMNS if name != "text"},
        "run_number": run.run_number,
        "version": run.version,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "expires_at": run.expires_at,
        "deadline": run.deadline,
        "text": submission.text,
        "called": _dump(submission.called),
        "trigger": _dump(submission.trigger),
        "contexts": _dump(submission.contexts),
        "snapshot": _dump(submission.snapshot),
        "options": _dump(submission.options),
        "plan": plan_text(run.plan),
    }


def state_row(run: StoredRun) -> dict[str, Any]:
    """What changes of a run."""
    return {
        "id": run.id,
        "state": run.state,
        "result": run.result,
        "reason": run.reason,
        "cancel_requested": run.cancel_requested,
        "finished_at": run.finished_at,
        "due_at": run.due_at,
    }


def job_row(run: int, job: StoredJob) -> dict[str, Any]:
    """All of a job but what leasing alone writes."""
    row = {name: getattr(job, name) for name in JOB_COLUMNS}
    return {**row, "run": run, "outputs": _dump(job.outputs)}


def plan_text(plan: Plan) -> str:
    """As it is kept."""
    return _dump(planning.to_json(plan))


def _dump(value: object) -> str:
    # Most are empty, and telling so is faster than finding out.
    return _encode(value) if value else "{}"


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _submission(row: Row) -> Submission:
    return Submission(
        **_picked(row, SUBMISSION_COLUMNS),
        **{name: _load(row[name]) for name in _MAPPINGS},
    )


def _job(row: Row) -> StoredJob:
    decoded = {
        "failed_softly": bool(row["failed_softly"]),
        "cancel_requested": bool(row["cancel_requested"]),
        "outputs": _load(row["outputs"]),
    }
    return StoredJob(**{**row, **decoded})


def _picked(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


@lru_cache(maxsize=32)
def _plan(text: str) -> Plan:
    return planning.from_json(_load(text))


_decode = json.JSONDecoder().raw_decode


def _load(text: str) -> Any:
    # What was written here has no space around it, and is often empty.
    return {} if text == "{}" else _decode(text)[0]
