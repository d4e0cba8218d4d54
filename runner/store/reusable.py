"""Results of jobs that later runs may take over."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from runner.store.connection import Connection, Database, whole
from runner.store.rows import StoredRun, Success

_FIND = """
SELECT reusable.run, reusable.job, job.outputs FROM reusable
JOIN job ON job.run = reusable.run AND job.key = reusable.job
WHERE reusable.project = :project AND reusable.fingerprint = :fingerprint
AND (reusable.expires_at IS NULL OR reusable.expires_at > :now)
"""
_PUT = """
INSERT INTO reusable (project, fingerprint, run, job, expires_at)
VALUES (:project, :fingerprint, :run, :job, :expires_at)
ON CONFLICT (project, fingerprint) DO UPDATE
SET run = excluded.run, job = excluded.job, expires_at = excluded.expires_at
"""


@dataclass(frozen=True, slots=True)
class Reusable:
    """A job of an earlier run that succeeded, by its key."""

    run: int
    job: str
    outputs: Mapping[str, str]


@whole
def find(connection: Connection, project: str, fingerprint: str, now: float) -> Reusable | None:
    """The success with that fingerprint, if it still counts."""
    values = {"project": project, "fingerprint": fingerprint, "now": now}
    with connection.reading() as database:
        row = database.execute(_FIND, values).fetchone()
    return Reusable(row["run"], row["job"], json.loads(row["outputs"])) if row else None


def write(database: Database, run: StoredRun, successes: Iterable[Success]) -> None:
    """Keeps them for later runs, inside the transaction that `database` is in."""
    for success in successes:
        values = {**asdict(success), "run": run.id, "project": run.submission.project}
        database.execute(_PUT, values)
