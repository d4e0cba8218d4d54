"""Dead letters, and how a run dies that nobody can read."""

import sqlite3
from dataclasses import dataclass

from runner.events import RunFinished
from runner.store import limits, projection
from runner.store.connection import Connection

_SELECT = """
SELECT dead_letter.*, run.project, run.file, run.name, run.queue, run.owner
FROM dead_letter JOIN run ON run.id = dead_letter.run
WHERE (:run IS NULL OR dead_letter.run = :run)
ORDER BY dead_letter.run
"""
_REQUEUED = "UPDATE dead_letter SET requeued_as = :new WHERE run = :run AND requeued_as IS NULL"
_PURGE = "DELETE FROM dead_letter WHERE run = :run"
_OPEN = """
SELECT state, process, project, file, queue, owner FROM run
WHERE id = :run AND state != 'finished'
"""
_END_JOBS = """
UPDATE job SET state = 'finished', result = 'failure', reason = :reason, held = '',
               finished_at = :now
WHERE run = :run AND state != 'finished'
"""
_END_RUN = """
UPDATE run SET state = 'finished', result = 'failure', reason = :reason, finished_at = :now,
               due_at = NULL, version = version + 1
WHERE id = :run
"""
_INSERT = """
INSERT INTO dead_letter (run, kind, job, error, died_at) VALUES (:run, :kind, '', :error, :now)
"""
_IN_LINE_WITH = """
SELECT DISTINCT other.run FROM place JOIN place AS other
ON other.project = place.project AND other.name = place.name
WHERE place.run = :run AND other.run != :run
"""
_LEAVE_LINES = "DELETE FROM place WHERE run = :run"


@dataclass(frozen=True, slots=True)
class Letter:
    """A submitted run that failed for good; `died_at` is in seconds since the epoch."""

    run: int
    kind: str
    job: str
    error: str
    died_at: float
    #: The run that it was requeued as.
    requeued_as: int | None
    project: str
    file: str
    name: str
    queue: str
    owner: str


def letters(connection: Connection, run: int | None = None) -> list[Letter]:
    """All dead letters, or that of one run, in the order of runs."""
    with connection.reading() as database:
        found = database.execute(_SELECT, {"run": run}).fetchall()
    return [Letter(**dict(row)) for row in found]


def mark_requeued(connection: Connection, run: int, new: int) -> None:
    """The letter's run goes on as another one."""
    with connection.writing() as database:
        database.execute(_REQUEUED, {"run": run, "new": new})


def purge(connection: Connection, run: int) -> bool:
    """Throws the letter away; the run stays in the history. False when there is none."""
    with connection.writing() as database:
        return database.execute(_PURGE, {"run": run}).rowcount == 1


def bury(connection: Connection, run: int, kind: str, error: str, now: float) -> list[int]:
    """Ends a run without reading it, since that is what fails.

    Returns the runs that may go on because of that.
    """
    values = {"run": run, "kind": kind, "reason": kind, "error": error, "now": now}
    with connection.writing() as database:
        row = database.execute(_OPEN, values).fetchone()
        if row is None:
            return []
        database.execute(_END_JOBS, values)
        database.execute(_END_RUN, values)
        finished = RunFinished(run=run, time=now, result="failure", reason=kind)
        projection.write(database, [finished])
        if not row["process"]:
            database.execute(_INSERT, values)
            limits.count_end(database, _scopes(row), now, has_run=row["state"] == "running")
        freed = [each["run"] for each in database.execute(_IN_LINE_WITH, values).fetchall()]
        database.execute(_LEAVE_LINES, values)
    return freed


def _scopes(row: sqlite3.Row) -> limits.Scopes:
    return limits.scopes_of(row["project"], row["file"], row["queue"], row["owner"])
