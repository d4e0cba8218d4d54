"""The statements that every run passes through, as plain SQL: an ORM costs most of their speed."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from typing import Any

from runner import plan as planning
from runner.errors import InvalidInputError
from runner.events import Event, RunStarted, from_json
from runner.plan import Plan
from runner.store import lines, projection
from runner.store.connection import Connection
from runner.store.rows import (
    DEFAULT_QUEUE,
    LineEdit,
    RunEdit,
    StoredJob,
    StoredRun,
    Submission,
)

#: Set by leasing and renewing alone, so that deciding about a run never writes back an old deadline.
_LEASE_COLUMNS = ("worker", "token", "lease_until")
_JOB_COLUMNS = tuple(f.name for f in fields(StoredJob) if f.name not in _LEASE_COLUMNS)
_RUN_COLUMNS = (
    *("id", "run_number", "version", "state", "result", "reason"),
    *("created_at", "started_at", "finished_at"),
)

_MAPPINGS = ("called", "trigger", "contexts", "snapshot", "options")

_COUNT_RUN = """
INSERT INTO pipeline (project, file, runs) VALUES (:project, :file, :run_number)
ON CONFLICT (project, file) DO UPDATE SET runs = excluded.runs
"""
_INSERT_RUN = """
INSERT INTO run (id, project, file, name, run_number, event, owner, state, result, reason,
                 cancel_requested, version, created_at, started_at, finished_at)
VALUES (:id, :project, :file, :name, :run_number, :event, :owner, :state, :result, :reason,
        :cancel_requested, :version, :created_at, :started_at, :finished_at)
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
               cancel_requested = :cancel_requested, finished_at = :finished_at
WHERE id = :id
"""
_WRITE_JOB = f"""
INSERT INTO job (run, worker, token, {", ".join(_JOB_COLUMNS)})
VALUES (:run, '', '', {", ".join(f":{name}" for name in _JOB_COLUMNS)})
ON CONFLICT (run, key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _JOB_COLUMNS)}
"""
_PROMOTE = "UPDATE job SET state = 'queued' WHERE state = 'scheduled' AND due_at <= :now"
_IS_DUE = "SELECT EXISTS (SELECT 1 FROM job WHERE state = 'scheduled' AND due_at <= :now)"
_IS_READY = "SELECT EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND {scope})"
_CLAIM = """
UPDATE job SET state = 'running', worker = :worker, token = :worker || '/' || attempt,
               lease_until = :until
WHERE (run, key) IN (SELECT run, key FROM job WHERE state = 'queued' AND {scope}
                     ORDER BY rank, run, position LIMIT :limit)
RETURNING run, key, attempt, rank, position
"""
_OF_QUEUE = "queue = :queue"
_OF_RUN = "run = :run"
_INSERT_ATTEMPT = """
INSERT INTO attempt (run, job, number, worker, image, started_at, reason)
VALUES (:run, :key, :attempt, :worker, '', :now, '')
"""
_START_RUN = """
UPDATE run SET state = 'running', started_at = :now WHERE id = :run AND state = 'queued'
RETURNING name, file, (
    SELECT count(*) FROM job WHERE run = :run AND NOT EXISTS (
        SELECT 1 FROM job AS inside WHERE inside.run = :run
        AND inside.key >= job.key || ' / ' AND inside.key < job.key || ' /!')) AS jobs
"""
_RENEW = """
UPDATE job SET lease_until = :until
WHERE run = :run AND key = :key AND token = :token AND state = 'running'
"""
_STAY = "UPDATE job SET lease_until = :until WHERE run = :run AND state = 'blocked'"
_NEXT_DUE = "SELECT min(due_at) AS due_at FROM job WHERE state = 'scheduled' AND run = :run"
_TO_CANCEL = """
SELECT run, key FROM job WHERE state = 'running' AND worker = :worker AND cancel_requested
"""
_OWNED_RUNS = """
SELECT id, owner, max(created_at, coalesce((
    SELECT max(max(coalesce(lease_until, 0), coalesce(due_at, 0), coalesce(finished_at, 0)))
    FROM job WHERE job.run = run.id), 0)) AS held_until
FROM run WHERE state != 'finished' AND owner != ''
"""
_EVENTS = "SELECT seq, data FROM event WHERE run = :run AND seq > :after ORDER BY seq"


# -- a run as a whole --


def next_numbers(connection: Connection, project: str, file: str) -> tuple[int, int]:
    """The id that the next run will have, and its number among the runs of that file."""
    with connection.reading() as database:
        return _next_numbers(database, project, file)


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

    A new run has changed when another one has taken its numbers.
    """
    with connection.writing() as database:
        if not all(_is_as_read(database, run) for run in runs):
            return False
        if not lines.are_as_read(database, groups):
            return False
        for run in runs:
            _write_run(database, run)
        lines.write(database, groups)
    return True


# -- leases --


def claim(
    connection: Connection, worker: str, run: int | None, limit: int, now: float, until: float
) -> tuple[list[tuple[int, str]], list[Event]]:
    """Leases up to `limit` jobs: their runs and keys, in order, and the runs that thereby start.

    Without `run`, those of the default queue. `until` is the deadline, seconds since the epoch.
    """
    scope = _OF_QUEUE if run is None else _OF_RUN
    lease = {"worker": worker, "now": now, "until": until}
    values = {**lease, "run": run, "queue": DEFAULT_QUEUE, "limit": limit}
    if not _has_work(connection, scope, values):
        return [], []
    with connection.writing() as database:
        database.execute(_PROMOTE, values)
        claimed = database.execute(_CLAIM.format(scope=scope), values).fetchall()
        claimed.sort(key=lambda row: (row["rank"], row["run"], row["position"]))
        for row in claimed:
            database.execute(_INSERT_ATTEMPT, {**values, **dict(row)})
        events = _start_runs(database, {row["run"] for row in claimed}, now)
        projection.write(database, events)
    return [(row["run"], row["key"]) for row in claimed], events


def renew(connection: Connection, run: int, key: str, token: str, until: float) -> bool:
    """Moves the deadline of a lease; False when the lease is no longer held."""
    values = {"run": run, "key": key, "token": token, "until": until}
    with connection.writing() as database:
        return database.execute(_RENEW, values).rowcount == 1


def stay(connection: Connection, run: int, until: float) -> None:
    """A sign of life of a run whose jobs wait: nobody holds a lease of them."""
    with connection.writing() as database:
        database.execute(_STAY, {"run": run, "until": until})


def next_due(connection: Connection, run: int) -> float | None:
    """When the next scheduled job of the run becomes runnable, in seconds since the epoch."""
    with connection.reading() as database:
        due: float | None = database.execute(_NEXT_DUE, {"run": run}).fetchone()["due_at"]
    return due


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


def jobs_to_cancel(connection: Connection, worker: str) -> list[tuple[int, str]]:
    """The runs and keys of jobs that this worker runs and should stop."""
    with connection.reading() as database:
        rows = database.execute(_TO_CANCEL, {"worker": worker}).fetchall()
    return [(row["run"], row["key"]) for row in rows]


def owned_runs(connection: Connection) -> list[tuple[int, str, float]]:
    """The unfinished runs that belong to a process, which, and until when it gave signs of life."""
    with connection.reading() as database:
        rows = database.execute(_OWNED_RUNS).fetchall()
    return [(row["id"], row["owner"], row["held_until"]) for row in rows]


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


def _is_as_read(database: sqlite3.Connection, edit: RunEdit) -> bool:
    run = edit.after
    if edit.before is None:
        numbers = _next_numbers(database, run.submission.project, run.submission.file)
        return numbers == (run.id, run.run_number)
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


def _write_jobs(database: sqlite3.Connection, run: int, jobs: Iterable[StoredJob]) -> None:
    database.executemany(_WRITE_JOB, [_job_row(run, job) for job in jobs])


def _start_runs(database: sqlite3.Connection, runs: Iterable[int], now: float) -> list[Event]:
    events: list[Event] = []
    for run in sorted(runs):
        started = database.execute(_START_RUN, {"run": run, "now": now}).fetchone()
        database.execute("UPDATE run SET version = version + 1 WHERE id = ?", (run,))
        if started:
            events.append(RunStarted(run=run, time=now, **dict(started)))
    return events


def _has_work(connection: Connection, scope: str, values: Mapping[str, Any]) -> bool:
    # Looking takes no lock; leasing would take the one that all writers share.
    with connection.reading() as database:
        return any(
            database.execute(question, values).fetchone()[0]
            for question in (_IS_READY.format(scope=scope), _IS_DUE)
        )


# -- values and rows --


def _run_row(run: StoredRun) -> dict[str, Any]:
    submission = run.submission
    return _state_row(run) | {
        "project": submission.project,
        "file": submission.file,
        "name": submission.name,
        "event": submission.trigger.get("event", ""),
        "owner": submission.owner,
        "run_number": run.run_number,
        "version": run.version,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "text": submission.text,
        "called": _dump(submission.called),
        "trigger": _dump(submission.trigger),
        "contexts": _dump(submission.contexts),
        "snapshot": _dump(submission.snapshot),
        "options": _dump(submission.options),
        "priority": submission.priority,
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
        **_picked(row, ("file", "text", "project", "name", "owner", "priority")),
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
