"""Who has which job until when: plain SQL, as all that is asked again and again."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from runner.events import Event, RunStarted
from runner.store import projection
from runner.store.connection import Connection
from runner.store.rows import DEFAULT_QUEUE

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
