"""The statements that every run passes through, as plain SQL: an ORM costs most of their speed."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from runner import plan as planning
from runner.events import Event, from_json
from runner.store import approvals, dead, limits, lines, projection, raw, reusable
from runner.store.connection import Connection, Database, whole
from runner.store.raw import JOB_COLUMNS, SUBMISSION_COLUMNS
from runner.store.rows import LineEdit, RunEdit, StoredJob, StoredRun, is_submitted

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
_UPDATE_RUN = """
UPDATE run SET version = version + 1, state = :state, result = :result, reason = :reason,
               cancel_requested = :cancel_requested, finished_at = :finished_at, due_at = :due_at
WHERE id = :id
"""
_WRITE_JOB = f"""
INSERT INTO job (run, worker, token, {", ".join(JOB_COLUMNS)})
VALUES (:run, '', '', {", ".join(f":{name}" for name in JOB_COLUMNS)})
ON CONFLICT (run, key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in JOB_COLUMNS)}
"""
_UPDATE_PLAN = 'UPDATE submission SET "plan" = :plan WHERE run = :run'
_REMOVE_JOB = "DELETE FROM job WHERE run = :run AND key = :key"
_RUNS = "SELECT runs FROM pipeline WHERE project = :project AND file = :file"
_VERSION = "SELECT version FROM run WHERE id = :run"
_IS_CANCELLED = "SELECT cancel_requested FROM run WHERE id = :run"
_REASON = "SELECT reason FROM run WHERE id = :run"
_EVENTS = "SELECT seq, data FROM event WHERE run = :run AND seq > :after ORDER BY seq"


_INSERT_DEAD = """
INSERT INTO dead_letter (run, kind, job, error, died_at)
VALUES (:run, :kind, :job, :error, :died_at)
"""
_SUBMITTED = "SELECT id FROM run WHERE project = :project AND submission_key = :key"


# -- a run as a whole --


@whole
def next_numbers(connection: Connection, project: str, file: str) -> tuple[int, int]:
    """The id that the next run will have, and its number among the runs of that file."""
    with connection.reading() as database:
        return _next_numbers(database, project, file)


@whole
def submitted(connection: Connection, project: str, key: str) -> int | None:
    """The run that was submitted with that key."""
    with connection.reading() as database:
        return _submitted(database, project, key)


@whole
def load_run(connection: Connection, run: int) -> StoredRun:
    """The run with its jobs in the order of the plan; raises InvalidInputError for no such run."""
    with connection.reading() as database:
        found = raw.read(database, run)
    return raw.made(found)


@whole
def save(
    connection: Connection,
    runs: Sequence[RunEdit],
    groups: Sequence[LineEdit] = (),
    then: Callable[[Database], None] | None = None,
) -> bool:
    """Writes what differs, all or nothing; False when anything of it has changed since it was read.

    A new run has changed when another one has taken its numbers, or its submission key. `then` is
    done in the same transaction, which may be done again.
    """
    with suppress(_ChangedError), connection.writing() as database:
        if not lines.are_as_read(database, groups):
            raise _ChangedError
        for run in runs:
            if not _is_as_read(database, run):
                raise _ChangedError
            if not approvals.is_room(database, run.admissions):
                raise _ChangedError
            _write_run(database, run)
        lines.write(database, groups)
        if then:
            then(database)
        return True
    return False


class _ChangedError(Exception):
    """Undoes the transaction."""


# -- questions --


@whole
def is_cancelled(connection: Connection, run: int) -> bool:
    """Whether somebody asked to stop the run."""
    with connection.reading() as database:
        row = database.execute(_IS_CANCELLED, {"run": run}).fetchone()
    return row is not None and bool(row["cancel_requested"])


@whole
def reason(connection: Connection, run: int) -> str:
    """Why the run ended as it did, or is to end."""
    with connection.reading() as database:
        row = database.execute(_REASON, {"run": run}).fetchone()
    return row["reason"] if row else ""


@whole
def events_after(connection: Connection, run: int, after: int) -> list[tuple[int, Event]]:
    """The events of a run that have a higher `seq`, each with its own."""
    with connection.reading() as database:
        rows = database.execute(_EVENTS, {"run": run, "after": after}).fetchall()
    return [(row["seq"], from_json(json.loads(row["data"]))) for row in rows]


@whole
def insert_event(connection: Connection, event: Event) -> None:
    """Writes one event and what follows from it."""
    with connection.writing() as database:
        projection.write(database, (event,))


# -- inside a transaction --


def _next_numbers(database: Database, project: str, file: str) -> tuple[int, int]:
    runs = database.execute(_RUNS, {"project": project, "file": file}).fetchone()
    return database.last_id("run") + 1, (runs["runs"] if runs else 0) + 1


def _submitted(database: Database, project: str, key: str) -> int | None:
    row = database.execute(_SUBMITTED, {"project": project, "key": key}).fetchone()
    return row["id"] if row else None


def _is_as_read(database: Database, edit: RunEdit) -> bool:
    run = edit.after
    if edit.before is None:
        submission = run.submission
        numbers = _next_numbers(database, submission.project, submission.file)
        key = submission.submission_key
        is_taken = key is not None and _submitted(database, submission.project, key) is not None
        return numbers == (run.id, run.run_number) and not is_taken
    row = database.execute(_VERSION, {"run": run.id}).fetchone()
    return row is not None and bool(row["version"] == edit.before.version)


def _write_run(database: Database, edit: RunEdit) -> None:
    before, after = edit.before, edit.after
    if before is None:
        row = _run_row(after)
        if is_submitted(after) and after.state != "finished":
            limits.refuse(database, _scopes_of(after), after.due_at, after.created_at)
        for statement in (_COUNT_RUN, _INSERT_RUN, _INSERT_SUBMISSION):
            database.execute(statement, row)
        database.use_id("run", after.id)
        _write_jobs(database, after.id, after.jobs.values())
        if edit.letter is not None:
            dead.take(database, edit.letter, after.id)
    else:
        _update_run(database, before, after)
    if edit.dead is not None:
        values = {**asdict(edit.dead), "run": after.id, "died_at": after.finished_at}
        database.execute(_INSERT_DEAD, values)
    reusable.write(database, after, edit.successes)
    if edit.approvals or edit.admissions:
        approvals.write(database, after.id, edit.approvals, edit.admissions)
    projection.write(database, edit.events)


def _update_run(database: Database, before: StoredRun, after: StoredRun) -> None:
    database.execute(_UPDATE_RUN, _state_row(after))
    if after.plan != before.plan:
        plan = _dump(planning.to_json(after.plan))
        database.execute(_UPDATE_PLAN, {"plan": plan, "run": after.id})
    for key in before.jobs.keys() - after.jobs.keys():
        database.execute(_REMOVE_JOB, {"run": after.id, "key": key})
    changed = (job for key, job in after.jobs.items() if before.jobs.get(key) != job)
    _write_jobs(database, after.id, changed)
    if before.state != "finished" and after.state == "finished" and is_submitted(after):
        has_run = before.state == "running"
        limits.count_end(database, _scopes_of(after), after.finished_at or 0.0, has_run=has_run)


def _scopes_of(run: StoredRun) -> limits.Scopes:
    its = run.submission
    return limits.scopes_of(its.project, its.file, its.queue, its.owner)


def _write_jobs(database: Database, run: int, jobs: Iterable[StoredJob]) -> None:
    database.executemany(_WRITE_JOB, [_job_row(run, job) for job in jobs])


# -- values and rows --


def _run_row(run: StoredRun) -> dict[str, Any]:
    submission = run.submission
    return _state_row(run) | {
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
    row = {name: getattr(job, name) for name in JOB_COLUMNS}
    return {**row, "run": run, "outputs": _dump(job.outputs)}


def _dump(value: object) -> str:
    # Most are empty, and telling so is faster than finding out.
    return _encode(value) if value else "{}"


_encode = json.JSONEncoder(separators=(",", ":")).encode
