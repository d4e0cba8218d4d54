"""The records of snapshots: which there are, and what each one is for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runner.store import audit
from runner.store.connection import Connection, whole
from runner.store.deliveries import Subject

_INSERT = """
INSERT INTO snapshot (id, application, environment, release, deployment, kind, description, state,
                      host, created_at, created_by, size)
VALUES (:id, :application, :environment, :release, :deployment, :kind, :description, :state,
        :host, :created_at, :created_by, :size)
"""
_KEPT = "UPDATE snapshot SET state = 'kept', size = :size WHERE id = :id"
_FORGET = "DELETE FROM snapshot WHERE id = :id"
_ONE = "SELECT * FROM snapshot WHERE id = :id"
_ALL = """
SELECT * FROM snapshot
WHERE (CAST(:application AS TEXT) IS NULL OR application = :application)
  AND (CAST(:environment AS TEXT) IS NULL OR environment = :environment)
ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """See `tables.SnapshotRow`."""

    id: str
    application: str
    environment: str
    release: int | None
    deployment: int
    kind: str
    description: str
    state: str
    host: str
    created_at: float
    created_by: str
    size: int = 0

    @property
    def subject(self) -> Subject:
        return Subject(self.application, self.environment)


@whole
def add(connection: Connection, record: SnapshotRecord) -> None:
    """One that is being made."""
    with connection.writing() as database:
        database.execute(_INSERT, asdict(record))


@whole
def is_kept(connection: Connection, id_: str, size: int) -> None:
    """It is complete."""
    with connection.writing() as database:
        database.execute(_KEPT, {"id": id_, "size": size})


@whole
def forget(connection: Connection, id_: str) -> None:
    """It is gone, or never was complete."""
    with connection.writing() as database:
        database.execute(_FORGET, {"id": id_})


@whole
def snapshot(connection: Connection, id_: str) -> SnapshotRecord | None:
    """One of them; None when there is none of that id."""
    with connection.reading() as database:
        row = database.execute(_ONE, {"id": id_}).fetchone()
    return SnapshotRecord(**dict(row)) if row else None


@whole
def snapshots(
    connection: Connection, application: str | None = None, environment: str | None = None
) -> list[SnapshotRecord]:
    """Those that match all that is given, the oldest first."""
    values = {"application": application, "environment": environment}
    with connection.reading() as database:
        rows = database.execute(_ALL, values).fetchall()
    return [SnapshotRecord(**dict(row)) for row in rows]


@whole
def note_restored(
    connection: Connection, record: SnapshotRecord, who: str, more: Mapping[str, Any], now: float
) -> None:
    """Write into the audit that it was restored."""
    subject = {**asdict(record.subject), "snapshot": record.id, **more}
    with connection.writing() as database:
        audit.add(database, who, "snapshot-restored", subject, now)
