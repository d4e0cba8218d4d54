"""The processes that take jobs from the queue, and what those of them left that are gone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runner.store.connection import Connection, Row, whole

WorkerState = Literal["working", "stopping"]

_REGISTER = """
INSERT INTO worker (name, process, host, labels, slots, state, started_at, seen_at)
VALUES (:name, :process, :host, :labels, :slots, :state, :started_at, :seen_at)
"""
_SEEN = "UPDATE worker SET seen_at = :now, state = :state WHERE name = :name"
_UNREGISTER = "DELETE FROM worker WHERE name = :name"
_ALL = """
SELECT worker.*, (SELECT count(*) FROM job WHERE state = 'running' AND job.worker = worker.name)
       AS running
FROM worker ORDER BY started_at, name
"""
_LEASED_BY = """
SELECT run, key, token, lease_until FROM job WHERE state = 'running' AND worker = :name
ORDER BY run, position
"""
_ALL_LEASED = """
SELECT job.run, job.key, job.worker, job.lease_until, run.process
FROM job JOIN run ON run.id = job.run
WHERE job.state = 'running' AND job.worker != ''
ORDER BY job.run, job.position
"""
#: Leases whose worker never registered, or has gone with its row: only time can tell.
_LEASED_BY_NOBODY = """
SELECT job.run, job.key, job.token, job.lease_until FROM job JOIN run ON run.id = job.run
WHERE job.state = 'running' AND job.worker != '' AND job.lease_until < :now AND run.process = ''
  AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.name = job.worker)
ORDER BY job.run, job.position
"""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as it is known to others; `process` is its `process_identity`."""

    name: str
    process: str
    host: str
    labels: Sequence[str]
    slots: int
    state: WorkerState
    started_at: float
    seen_at: float
    running: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """A job that somebody has leased."""

    run: int
    key: str
    token: str
    lease_until: float


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a job, and until when; `process` is that of its run, "" if the queue has it."""

    run: int
    key: str
    worker: str
    lease_until: float
    process: str


@whole
def register(connection: Connection, worker: WorkerRecord) -> None:
    """Makes the worker known to others."""
    values = {
        "name": worker.name,
        "process": worker.process,
        "host": worker.host,
        "labels": json.dumps(sorted(worker.labels)),
        "slots": worker.slots,
        "state": worker.state,
        "started_at": worker.started_at,
        "seen_at": worker.seen_at,
    }
    with connection.writing() as database:
        database.execute(_REGISTER, values)


@whole
def seen(connection: Connection, name: str, state: WorkerState, now: float) -> bool:
    """A sign of life; False when others have taken the worker for dead."""
    with connection.touching() as database:
        values = {"name": name, "state": state, "now": now}
        return database.execute(_SEEN, values).rowcount == 1


@whole
def unregister(connection: Connection, name: str) -> None:
    """The worker is gone."""
    with connection.writing() as database:
        database.execute(_UNREGISTER, {"name": name})


@whole
def all_workers(connection: Connection) -> list[WorkerRecord]:
    """All that are known, in the order in which they came, with how many jobs they run."""
    with connection.reading() as database:
        return [_worker(row) for row in database.execute(_ALL).fetchall()]


@whole
def leased_by(connection: Connection, name: str) -> list[Held]:
    """What a worker has leased."""
    with connection.reading() as database:
        return [_held(row) for row in database.execute(_LEASED_BY, {"name": name}).fetchall()]


@whole
def leased_by_nobody(connection: Connection, now: float) -> list[Held]:
    """What was leased by workers that are not known, until a time that is over."""
    with connection.reading() as database:
        found = database.execute(_LEASED_BY_NOBODY, {"now": now}).fetchall()
        return [_held(row) for row in found]


@whole
def all_leased(connection: Connection) -> list[Holding]:
    """Everything that somebody has leased, be it of the queue or of a process of its own."""
    with connection.reading() as database:
        return [Holding(**dict(row)) for row in database.execute(_ALL_LEASED).fetchall()]


def _worker(row: Row) -> WorkerRecord:
    return WorkerRecord(**{**dict(row), "labels": tuple(json.loads(row["labels"]))})


def _held(row: Row) -> Held:
    return Held(row["run"], row["key"], row["token"], row["lease_until"])
