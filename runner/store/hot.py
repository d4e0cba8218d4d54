"""The statements that every run passes through, as plain SQL: an ORM costs most of their speed."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from functools import lru_cache
from typing import Any

from runner import plan as planning
from runner.errors import InvalidInputError
from runner.events import Event, from_json
from runner.plan import Plan
from runner.store import limits, lines, projection
from runner.store.connection import Connection
from runner.store.rows import LineEdit, RunEdit, StoredJob, StoredRun, Submission, is_submitted

#: Set by leasing and renewing alone, so that deciding about a run never writes back an old deadline.
_LEASE_COLUMNS = ("worker", "token", "lease_until")
_JOB_COLUMNS = tuple(f.name for f in fields(StoredJob) if f.name not in _LEASE_COLUMNS)
_RUN_COLUMNS = (
    *("id", "run_number", "version", "state", "result", "reason"),
    *("created_at", "started_at", "finished_at", "due_at", "expires_at", "deadline"),
)
_SUBMISSION_COLUMNS = (
    *("file", "text", "project", "name", "process", "owner", "queue", "priority"),
    *("submission_key", "time_limit", "rerun_of"),
)

_MAPPINGS = ("called", "trigger", "contexts", "snapshot", "options")

_COUNT_RUN = """
INSERT INTO pipeline (project, file, runs) VALUES (:project, :file, :run_number)
ON CONFLICT (project, file) DO UPDATE SET runs = excluded.runs
"""
_INSERT_RUN = """
INSERT INTO run (id, project, file, name, run_number, event, process, state, result, reason,
                 cancel_requested, version, created_at, started_at, finished_at, owner, queue,
                 submission_key, due_at, expires_at, time_limit, deadline, rerun_of)
VALUES (:id, :project, :file, :name, :run_number, :event, :process, :state, :result, :reason,
        :cancel_requested, :version, :created_at, :started_at, :finished_at, :owner, :queue,
        :submission_key, :due_at, :expires_at, :time_limit, :deadline, :rerun_of)
"""
_INSERT_SUBMISSION = """
INSERT INTO submission (run, text, called, "trigger", contexts, snapshot, options, priority, "plan")
VALUES (:id, :text, :called, :trigger, :contexts, :snapshot, :options, :priority, :plan)
"""
_SELECT_RUN = """
SELECT * FROM run JOIN submission ON submission.run = run.id WHERE run.id = :run
"""
_UPDATE_RUN = """
UPDATE run SET version = version + 1, state = :state, result = :result, reason = :reason,
               cancel_requested = :cancel_requested, finished_at = :finished_at, due_at = :due_at
WHERE id = :id
"""
_WRITE_JOB = f"""
INSERT INTO job (run, worker, token, {", ".join(_JOB_COLUMNS)})
VALUES (:run, '', '', {", ".join(f":{name}" for name in _JOB_COLUMNS)})
ON CONFLICT (run, key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _JOB_COLUMNS)}
"""
_EVENTS = "SELECT seq, data FROM event WHERE run = :run AND seq > :after ORDER BY seq"


_INSERT_DEAD = """
INSERT INTO dead_letter (run, kind, job, error, died_at)
VALUES (:run, :kind, :job, :error, :died_at)
"""
_SUBMITTED = "SELECT id FROM run WHERE project = :project AND submission_key = :key"


# -- a run as a whole --


def next_numbers(connection: Connection, project: str, file: str) -> tuple[int, int]:
    """The id that the next run will have, and its number among the runs of that file."""
    with connection.reading() as database:
        return _next_numbers(database, project, file)


def submitted(connection: Connection, project: str, key: str) -> int | None:
    """The run that was submitted with that key."""
    with connection.reading() as database:
        return _submitted(database, project, key)


def load_run(connection: Connection, run: int) -> StoredRun:
    """The run with its jobs in the order of the plan; raises InvalidInputError for no such run."""
    with connection.reading() as database:
        row = database.execute(_SELECT_RUN, {"run": run}).fetchone()
        jobs = database.execute(
            "SELECT * FROM job WHERE run = ? ORDER BY position, rowid", (run,)
        ).fetchall()
        groups = lines.groups_of(database, run)
    if row is None:
        raise InvalidInputError(f"there is no run {run}", hint="`pipe runs` lists them")
    return replace(_run(row, {job["key"]: _job(job) for job in jobs}), groups=groups)


def save(connection: Connection, runs: Sequence[RunEdit], groups: Sequence[LineEdit] = ()) -> bool:
    """Writes what differs, all or nothing; False when anything of it has changed since it was read.

    A new run has changed when another one has taken its numbers, or its submission key.
    """
    with suppress(_ChangedError), connection.writing() as database:
        if not lines.are_as_read(database, groups):
            raise _ChangedError
        for run in runs:
            if not _is_as_read(database, run):
                raise _ChangedError
            _write_run(database, run)
        lines.write(database, groups)
        return True
    return False


class _ChangedError(Exception):
    """Undoes the transaction."""


# -- questions --


def is_cancelled(connection: Connection, run: int) -> bool:
    """Whether somebody asked to stop the run."""
    with connection.reading() as database:
        row = database.execute("SELECT cancel_requested FROM run WHERE id = ?", (run,)).fetchone()
    return row is not None and bool(row["cancel_requested"])


def reason(connection: Connection, run: int) -> str:
    """Why the run ended as it did, or is to end."""
    with connection.reading() as database:
        row = database.execute("SELECT reason FROM run WHERE id = ?", (run,)).fetchone()
    return row["reason"] if row else ""


def events_after(connection: Connection, run: int, after: int) -> list[tuple[int, Event]]:
    """The events of a run that have a higher `seq`, each with its own."""
    with connection.reading() as database:
        rows = database.execute(_EVENTS, {"run": run, "after": after}).fetchall()
    return [(row["seq"], from_json(json.loads(row["data"]))) for row in rows]


def insert_event(connection: Connection, event: Event) -> None:
    """Writes one event and what follows from it."""
    with connection.writing() as database:
        projection.write(database, (event,))


# -- inside a transaction --


def _next_numbers(database: sqlite3.Connection, project: str, file: str) -> tuple[int, int]:
    last = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'run'").fetchone()
    runs = database.execute(
        "SELECT runs FROM pipeline WHERE project = ? AND file = ?", (project, file)
    ).fetchone()
    return (last["seq"] if last else 0) + 1, (runs["runs"] if runs else 0) + 1


def _submitted(database: sqlite3.Connection, project: str, key: str) -> int | None:
    row = database.execute(_SUBMITTED, {"project": project, "key": key}).fetchone()
    return row["id"] if row else None


def _is_as_read(database: sqlite3.Connection, edit: RunEdit) -> bool:
    run = edit.after
    if edit.before is None:
        submission = run.submission
        numbers = _next_numbers(database, submission.project, submission.file)
        key = submission.submission_key
        is_taken = key is not None and _submitted(database, submission.project, key) is not None
        return numbers == (run.id, run.run_number) and not is_taken
    row = database.execute("SELECT version FROM run WHERE id = ?", (run.id,)).fetchone()
    return row is not None and bool(row["version"] == edit.before.version)


def _write_run(database: sqlite3.Connection, edit: RunEdit) -> None:
    before, after = edit.before, edit.after
    if before is None:
        for statement in (_COUNT_RUN, _INSERT_RUN, _INSERT_SUBMISSION):
            database.execute(statement, _run_row(after))
        _write_jobs(database, after.id, after.jobs.values())
    else:
        _update_run(database, before, after)
    if edit.dead is not None:
        values = {**asdict(edit.dead), "run": after.id, "died_at": after.finished_at}
        database.execute(_INSERT_DEAD, values)
    projection.write(database, edit.events)


def _update_run(database: sqlite3.Connection, before: StoredRun, after: StoredRun) -> None:
    database.execute(_UPDATE_RUN, _state_row(after))
    if after.plan != before.plan:
        plan = (_dump(planning.to_json(after.plan)), after.id)
        database.execute('UPDATE submission SET "plan" = ? WHERE run = ?', plan)
    gone = [(after.id, key) for key in before.jobs.keys() - after.jobs.keys()]
    database.executemany("DELETE FROM job WHERE run = ? AND key = ?", gone)
    changed = (job for key, job in after.jobs.items() if before.jobs.get(key) != job)
    _write_jobs(database, after.id, changed)
    if before.state != "finished" and after.state == "finished" and is_submitted(after):
        submission = after.submission
        scopes = limits.scopes_of(
            submission.project, submission.file, submission.queue, submission.owner
        )
        has_run = before.state == "running"
        limits.count_end(database, scopes, after.finished_at or 0.0, has_run=has_run)


def _write_jobs(database: sqlite3.Connection, run: int, jobs: Iterable[StoredJob]) -> None:
    database.executemany(_WRITE_JOB, [_job_row(run, job) for job in jobs])


# -- values and rows --


def _run_row(run: StoredRun) -> dict[str, Any]:
    submission = run.submission
    return _state_row(run) | {
        "event": submission.trigger.get("event", ""),
        **{name: getattr(submission, name) for name in _SUBMISSION_COLUMNS if name != "text"},
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
        "plan": _dump(planning.to_json(run.plan)),
    }


def _state_row(run: StoredRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "result": run.result,
        "reason": run.reason,
        "cancel_requested": run.cancel_requested,
        "finished_at": run.finished_at,
        "due_at": run.due_at,
    }


def _job_row(run: int, job: StoredJob) -> dict[str, Any]:
    return {**asdict(job), "run": run, "outputs": _dump(job.outputs)}


def _run(row: sqlite3.Row, jobs: Mapping[str, StoredJob]) -> StoredRun:
    return StoredRun(
        submission=_submission(row),
        plan=_plan(row["plan"]),
        jobs=jobs,
        cancel_requested=bool(row["cancel_requested"]),
        **_picked(row, _RUN_COLUMNS),
    )


def _submission(row: sqlite3.Row) -> Submission:
    return Submission(
        **_picked(row, _SUBMISSION_COLUMNS),
        **{name: json.loads(row[name]) for name in _MAPPINGS},
    )


def _job(row: sqlite3.Row) -> StoredJob:
    values = _picked(row, (*_JOB_COLUMNS, *_LEASE_COLUMNS))
    values |= {name: bool(values[name]) for name in ("failed_softly", "cancel_requested")}
    return StoredJob(**{**values, "outputs": json.loads(values["outputs"])})


def _picked(row: sqlite3.Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


@lru_cache(maxsize=32)
def _plan(text: str) -> Plan:
    return planning.from_json(json.loads(text))


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
