"""Who has which job until when: plain SQL, as all that is asked again and again."""

from runner.store.connection import Connection, Row, whole

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
SELECT id, process, created_at,
       (SELECT max(lease_until) FROM job WHERE job.run = run.id) AS lease_until,
       (SELECT max(due_at) FROM job WHERE job.run = run.id) AS due_at,
       (SELECT max(finished_at) FROM job WHERE job.run = run.id) AS finished_at
FROM run WHERE state != 'finished' AND process > ''
"""


@whole
def renew(connection: Connection, run: int, key: str, token: str, until: float) -> bool:
    """Moves the deadline of a lease; False when the lease is no longer held."""
    values = {"run": run, "key": key, "token": token, "until": until}
    with connection.touching() as database:
        return database.execute(_RENEW, values).rowcount == 1


@whole
def stay(connection: Connection, run: int, until: float) -> None:
    """A sign of life of a run whose jobs wait: nobody holds a lease of them."""
    with connection.writing() as database:
        database.execute(_STAY, {"run": run, "until": until})


@whole
def next_due(connection: Connection, run: int) -> float | None:
    """When the next scheduled job of the run becomes runnable, in seconds since the epoch."""
    with connection.reading() as database:
        due: float | None = database.execute(_NEXT_DUE, {"run": run}).fetchone()["due_at"]
    return due


@whole
def jobs_to_cancel(connection: Connection, worker: str) -> list[tuple[int, str]]:
    """The runs and keys of jobs that this worker runs and should stop."""
    with connection.reading() as database:
        rows = database.execute(_TO_CANCEL, {"worker": worker}).fetchall()
    return [(row["run"], row["key"]) for row in rows]


@whole
def owned_runs(connection: Connection) -> list[tuple[int, str, float]]:
    """The unfinished runs that belong to a process, which, and until when it gave signs of life."""
    with connection.reading() as database:
        rows = database.execute(_OWNED_RUNS).fetchall()
    return [(row["id"], row["process"], _held_until(row)) for row in rows]


def _held_until(row: Row) -> float:
    signs = [row[name] for name in ("created_at", "lease_until", "due_at", "finished_at")]
    return max(float(sign) for sign in signs if sign is not None)
