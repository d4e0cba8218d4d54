"""Dead letters, and how a run dies that nobody can read."""

import json
from dataclasses import dataclass
from typing import Any

from runner.errors import InvalidInputError
from runner.events import RunFinished
from runner.store import limits, projection
from runner.store.connection import Connection, Database, Row, whole

_SELECT = """
SELECT dead_letter.*, run.project, run.file, run.name, run.queue, run.owner
FROM dead_letter JOIN run ON run.id = dead_letter.run
WHERE (CAST(:run AS INTEGER) IS NULL OR dead_letter.run = :run)
ORDER BY dead_letter.run
"""
_OF_RUN = "SELECT requeued_as FROM dead_letter WHERE run = :run"
_IS_SETTLED = """
SELECT EXISTS (
    SELECT 1 FROM run WHERE id = :successor AND (state != 'finished' OR result = 'success')) AS found
"""
#: A letter names the run that it went on as at last.
_TAKE = "UPDATE dead_letter SET requeued_as = :new WHERE run = :run OR requeued_as = :run"
_PURGE = "DELETE FROM dead_letter WHERE run = :run"
_SNAPSHOT = "SELECT snapshot FROM submission WHERE run = :run"
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


@whole
def letters(connection: Connection, run: int | None = None) -> list[Letter]:
    """All dead letters, or that of one run, in the order of runs."""
    with connection.reading() as database:
        found = database.execute(_SELECT, {"run": run}).fetchall()
    return [Letter(**dict(row)) for row in found]


@whole
def purge(connection: Connection, run: int) -> dict[str, Any] | None:
    """Throws the letter away; the run stays in the history.

    Returns the snapshot that was kept for it; None when there is no letter.
    """
    with connection.writing() as database:
        if database.execute(_PURGE, {"run": run}).rowcount == 0:
            return None
        row = database.execute(_SNAPSHOT, {"run": run}).fetchone()
    snapshot: dict[str, Any] = json.loads(row["snapshot"])
    return snapshot


@whole
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


def take(database: Database, run: int, new: int) -> None:
    """The letter's run goes on as a new one, inside the transaction that this enters in.

    Raises InvalidInputError if there is no letter, or it goes on already and that has not failed.
    """
    row = database.execute(_OF_RUN, {"run": run}).fetchone()
    if row is None:
        raise InvalidInputError(f"run {run} is no dead letter", hint="`pipe queue dead` lists them")
    successor = {"successor": row["requeued_as"]}
    if database.execute(_IS_SETTLED, successor).fetchone()["found"]:
        raise InvalidInputError(f"run {run} was requeued already, as run {row['requeued_as']}")
    database.execute(_TAKE, {"run": run, "new": new})


def _scopes(row: Row) -> limits.Scopes:
    return limits.scopes_of(row["project"], row["file"], row["queue"], row["owner"])
