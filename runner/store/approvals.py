"""Who let jobs into their environments, and which were let in: kept with the runs they belong to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from runner.store import audit
from runner.store.connection import Connection, Database, whole
from runner.store.rows import Admission, Approval

_OF_RUN = """
SELECT job, environment, name, verdict, comment, time FROM approval WHERE run = :run ORDER BY id
"""
_APPROVE = """
INSERT INTO approval (run, job, environment, name, verdict, comment, time)
VALUES (:run, :job, :environment, :name, :verdict, :comment, :time)
"""
_ADMIT = """
INSERT INTO admission (run, job, project, environment, time)
VALUES (:run, :job, :project, :environment, :time)
ON CONFLICT (run, job) DO UPDATE SET time = excluded.time
"""
_SINCE = """
SELECT count(*) AS found FROM admission
WHERE project = :project AND environment = :environment AND time >= :since
"""
_HELD_JOBS = "SELECT key, held, due_at FROM job WHERE run = :run AND held != '' ORDER BY position"
_RUNS_DUE = """
SELECT DISTINCT run FROM job
WHERE state = 'scheduled' AND held != '' AND due_at <= :now ORDER BY run
"""


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job that waits for a limit or its environment, as `StoredJob.held` says."""

    key: str
    held: str
    due_at: float | None


@whole
def of_run(connection: Connection, run: int) -> list[Approval]:
    """What people have said about the jobs of a run, in order."""
    with connection.reading() as database:
        rows = database.execute(_OF_RUN, {"run": run}).fetchall()
    return [Approval(**dict(row)) for row in rows]


@whole
def admitted_since(connection: Connection, project: str, environment: str, since: float) -> int:
    """How many jobs of a project were let into an environment since then."""
    with connection.reading() as database:
        return _admitted(database, project, environment, since)


@whole
def held_jobs(connection: Connection, run: int) -> list[HeldJob]:
    """The jobs of a run that are ready but for a limit or their environment."""
    with connection.reading() as database:
        rows = database.execute(_HELD_JOBS, {"run": run}).fetchall()
    return [HeldJob(**dict(row)) for row in rows]


@whole
def runs_due(connection: Connection, now: float) -> list[int]:
    """Those with a job that waited for a time of its environment, which has come."""
    with connection.reading() as database:
        rows = database.execute(_RUNS_DUE, {"now": now}).fetchall()
    return [row["run"] for row in rows]


# -- inside a transaction --


def is_room(database: Database, admissions: Iterable[Admission]) -> bool:
    """Whether nobody else was let in meanwhile, where that would be too many."""
    return all(
        each.maximum is None
        or _admitted(database, each.project, each.environment, each.since) < each.maximum
        for each in admissions
    )


def write(
    database: Database, run: int, approvals: Iterable[Approval], admissions: Iterable[Admission]
) -> None:
    """What was said about jobs of the run, and which of them were let in."""
    said = list(approvals)
    for each in said:
        about = {"run": run, "job": each.job, "environment": each.environment}
        audit.add(database, each.name, each.verdict, {**about, "comment": each.comment}, each.time)
    database.executemany(_APPROVE, [{**asdict(each), "run": run} for each in said])
    database.executemany(_ADMIT, [{**asdict(each), "run": run} for each in admissions])


def _admitted(database: Database, project: str, environment: str, since: float) -> int:
    values = {"project": project, "environment": environment, "since": since}
    found: int = database.execute(_SINCE, values).fetchone()["found"]
    return found
