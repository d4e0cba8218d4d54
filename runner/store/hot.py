"""The statements that every run passes through, as plain SQL: an ORM costs most of their speed."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict

from runner.events import Event, from_json
from runner.store import approvals, dead, limits, lines, projection, raw, reusable
from runner.store.connection import Connection, Database, whole
from runner.store.raw import FIXED_COLUMNS, JOB_COLUMNS
from runner.store.rows import LineEdit, RunEdit, StoredRun, is_submitted

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
WHERE id = :id AND version = :version
"""
_INSERT_JOB = f"""
INSERT INTO job (run, worker, token, {", ".join(JOB_COLUMNS)})
VALUES (:run, '', '', {", ".join(f":{name}" for name in JOB_COLUMNS)})
"""
_UPDATE_JOB = f"""
UPDATE job SET {", ".join(f"{name} = :{name}" for name in JOB_COLUMNS if name not in FIXED_COLUMNS)}
WHERE run = :run AND key = :key
"""
_UPDATE_PLAN = 'UPDATE submission SET "plan" = :plan WHERE run = :run'
_REMOVE_JOB = "DELETE FROM job WHERE run = :run AND key = :key"
_RUNS = "SELECT runs FROM pipeline WHERE project = :project AND file = :file"
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
        _insert_runs(database, [run for run in runs if run.before is None])
        for run in runs:
            if not approvals.is_room(database, run.admissions):
                raise _ChangedError
            if run.before is not None:
                _update_run(database, run.before, run.after)
        _write_what_follows(database, runs)
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
def insert_events(connection: Connection, events: Sequence[Event]) -> None:
    """Writes events and what follows from them."""
    with connection.writing() as database:
        projection.write(database, events)


# -- inside a transaction --


def _next_numbers(database: Database, project: str, file: str) -> tuple[int, int]:
    return database.last_id("run") + 1, _runs_of(database, project, file) + 1


def _runs_of(database: Database, project: str, file: str) -> int:
    """How many runs of the file there were."""
    row = database.execute(_RUNS, {"project": project, "file": file}).fetchone()
    return row["runs"] if row else 0


def _submitted(database: Database, project: str, key: str) -> int | None:
    row = database.execute(_SUBMITTED, {"project": project, "key": key}).fetchone()
    return row["id"] if row else None


def _insert_runs(database: Database, edits: Sequence[RunEdit]) -> None:
    """Runs that are new; raises _ChangedError when another one has taken their numbers, or a key."""
    runs = [edit.after for edit in edits]
    if not runs:
        return
    if not _are_next(database, runs) or _is_key_taken(database, runs):
        raise _ChangedError
    coming = [(_scopes_of(run), run.due_at) for run in runs if _counts(run)]
    limits.refuse(database, coming, runs[0].created_at)
    rows = [raw.run_row(run) for run in runs]
    last_of_files = {(row["project"], row["file"]): row for row in rows}
    database.executemany(_COUNT_RUN, last_of_files.values())
    database.executemany(_INSERT_RUN, rows)
    database.executemany(_INSERT_SUBMISSION, rows)
    database.use_id("run", runs[-1].id)
    database.executemany(
        _INSERT_JOB, [raw.job_row(run.id, job) for run in runs for job in run.jobs.values()]
    )
    for edit in edits:
        if edit.letter is not None:
            dead.take(database, edit.letter, edit.after.id)


def _are_next(database: Database, runs: Sequence[StoredRun]) -> bool:
    """Whether these, in their order, have the numbers that the next runs have."""
    last = database.last_id("run")
    counts: dict[tuple[str, str], int] = {}
    for id_, run in enumerate(runs, last + 1):
        file = run.submission.project, run.submission.file
        if file not in counts:
            counts[file] = _runs_of(database, *file)
        counts[file] += 1
        if (run.id, run.run_number) != (id_, counts[file]):
            return False
    return True


def _is_key_taken(database: Database, runs: Iterable[StoredRun]) -> bool:
    keys = ((run.submission.project, run.submission.submission_key) for run in runs)
    return any(
        key is not None and _submitted(database, project, key) is not None for project, key in keys
    )


def _counts(run: StoredRun) -> bool:
    """Whether limits hold for it."""
    return is_submitted(run) and run.state != "finished"


def _update_run(database: Database, before: StoredRun, after: StoredRun) -> None:
    """Raises _ChangedError when the run is not any more what it was before."""
    row = {**raw.state_row(after), "version": before.version}
    if database.execute(_UPDATE_RUN, row).rowcount != 1:
        raise _ChangedError
    if after.plan is not before.plan and after.plan != before.plan:
        values = {"plan": raw.plan_text(after.plan), "run": after.id}
        database.execute(_UPDATE_PLAN, values)
    for key in before.jobs.keys() - after.jobs.keys():
        database.execute(_REMOVE_JOB, {"run": after.id, "key": key})
    _write_jobs(database, before, after)
    if _counts(before) and after.state == "finished":
        has_run = before.state == "running"
        limits.count_end(database, _scopes_of(after), after.finished_at or 0.0, has_run=has_run)


def _write_jobs(database: Database, before: StoredRun, after: StoredRun) -> None:
    changed = [job for key, job in after.jobs.items() if before.jobs.get(key) is not job]
    for sql, jobs in (
        (_INSERT_JOB, [job for job in changed if job.key not in before.jobs]),
        (_UPDATE_JOB, [job for job in changed if job.key in before.jobs]),
    ):
        if jobs:
            database.executemany(sql, [raw.job_row(after.id, job) for job in jobs])


def _write_what_follows(database: Database, edits: Sequence[RunEdit]) -> None:
    """What is kept of how the runs got where they are."""
    for edit in edits:
        if edit.dead is not None:
            values = {**asdict(edit.dead), "run": edit.after.id, "died_at": edit.after.finished_at}
            database.execute(_INSERT_DEAD, values)
        reusable.write(database, edit.after, edit.successes)
        if edit.approvals or edit.admissions:
            approvals.write(database, edit.after.id, edit.approvals, edit.admissions)
    projection.write(database, [event for edit in edits for event in edit.events])


def _scopes_of(run: StoredRun) -> limits.Scopes:
    its = run.submission
    return limits.scopes_of(its.project, its.file, its.queue, its.owner)
