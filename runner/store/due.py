"""What time changes: runs that are due, that waited for too long, that go on for too long."""

from runner.store.connection import Connection, whole

_RUNS_DUE = "SELECT id FROM run WHERE due_at IS NOT NULL AND due_at <= :now ORDER BY due_at, id"
_RUNS_EXPIRED = """
SELECT id FROM run WHERE state = 'queued' AND expires_at <= :now ORDER BY expires_at, id
"""
_RUNS_OVERRUN = """
SELECT id FROM run WHERE state = 'running' AND deadline <= :now AND NOT cancel_requested
ORDER BY deadline, id
"""
_NEXT = """
SELECT min(found) AS due_at FROM (
    SELECT min(due_at) AS found FROM run WHERE due_at IS NOT NULL
    UNION ALL SELECT min(expires_at) FROM run WHERE state = 'queued' AND expires_at IS NOT NULL
    UNION ALL SELECT min(deadline) FROM run
    WHERE state = 'running' AND deadline IS NOT NULL AND NOT cancel_requested
    UNION ALL SELECT min(due_at) FROM job WHERE state = 'scheduled') AS times
"""


@whole
def runs_due(connection: Connection, now: float) -> list[int]:
    """Those that were submitted for a time that has come."""
    return _ids(connection, _RUNS_DUE, now)


@whole
def runs_expired(connection: Connection, now: float) -> list[int]:
    """Those that waited for their start for too long."""
    return _ids(connection, _RUNS_EXPIRED, now)


@whole
def runs_overrun(connection: Connection, now: float) -> list[int]:
    """Those whose time is over, and that nobody has told to stop."""
    return _ids(connection, _RUNS_OVERRUN, now)


@whole
def next_time(connection: Connection) -> float | None:
    """When the next of all that becomes due, in seconds since the epoch."""
    with connection.reading() as database:
        found: float | None = database.execute(_NEXT).fetchone()["due_at"]
    return found


def _ids(connection: Connection, sql: str, now: float) -> list[int]:
    with connection.reading() as database:
        return [row["id"] for row in database.execute(sql, {"now": now}).fetchall()]
