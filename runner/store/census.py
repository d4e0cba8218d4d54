"""How much is in the queue, what holds it up, and how it went lately: counted where the rows are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.store.connection import Connection, Row, whole
from runner.store.rows import PRIVATE_POOL

_JOBS = """
SELECT run.queue AS queue,
       CASE WHEN run.due_at IS NOT NULL THEN 'later'
            WHEN job.held != '' THEN 'held'
            WHEN job.state = 'blocked' THEN 'waiting'
            WHEN job.state = 'queued' THEN 'ready'
            WHEN job.state = 'running' AND job.worker = '' THEN 'call'
            ELSE job.state END AS stage,
       count(*) AS jobs, min(job.queued_at) AS since
FROM run JOIN job ON job.run = run.id
WHERE run.process = '' AND run.state != 'finished'
GROUP BY 1, 2
"""
_RUNS = """
SELECT queue, CASE WHEN due_at IS NOT NULL THEN 'later' ELSE state END AS stage, count(*) AS runs
FROM run WHERE process = '' AND state != 'finished' GROUP BY 1, 2
"""
_ENDED = """
SELECT result, finished_at - started_at AS seconds FROM run
WHERE process = '' AND finished_at IS NOT NULL AND finished_at >= :since
"""
_DEAD = "SELECT kind, count(*) AS runs FROM dead_letter WHERE requeued_as IS NULL GROUP BY kind"
_HELD = "SELECT DISTINCT held, rank, run FROM job WHERE held != '' ORDER BY held, rank, run"
_ORDER = """
SELECT run, key, pool FROM job WHERE state = 'queued' AND pool != :private ORDER BY rank, run, position
"""
_LEASED = """
SELECT job.worker, job.run, job.key, job.attempt, run.name, run.file FROM job
JOIN run ON run.id = job.run
WHERE job.state = 'running' AND job.worker != '' AND run.process = ''
"""
_STEPS = """
SELECT job, attempt, count(*) AS ended FROM step
WHERE run = :run AND number > 0 AND finished_at IS NOT NULL GROUP BY job, attempt
"""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs of submitted runs are how far in one named queue, and how many runs.

    `ready` wait for a worker, `held` for a limit, `scheduled` for their next attempt, `waiting` for
    other jobs or a group; `later` are runs that are not due yet.
    """

    queue: str
    ready: int = 0
    held: int = 0
    scheduled: int = 0
    waiting: int = 0
    running: int = 0
    runs_waiting: int = 0
    runs_running: int = 0
    later: int = 0
    #: Since when the oldest job waits that is ready or held.
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """How the submitted runs went that ended since some time; `median` and `p95` are seconds."""

    ended: Mapping[str, int] = field(default_factory=dict)
    median: float | None = None
    p95: float | None = None

    @property
    def runs(self) -> int:
        """All of them."""
        return sum(self.ended.values())

    @property
    def failure_rate(self) -> float | None:
        """The share of failures among those that succeeded or failed."""
        failed = self.ended.get("failure", 0)
        counted = failed + self.ended.get("success", 0)
        return failed / counted if counted else None


@dataclass(frozen=True, slots=True)
class Leased:
    """A job that a worker of the queue runs."""

    worker: str
    run: int
    key: str
    attempt: int
    name: str
    file: str


@whole
def depths(connection: Connection) -> list[Depth]:
    """Each named queue in which something is, by name."""
    found: dict[str, dict[str, Any]] = {}
    with connection.reading() as database:
        for row in database.execute(_JOBS).fetchall():
            _count_jobs(found.setdefault(row["queue"], {}), row)
        for row in database.execute(_RUNS).fetchall():
            stage = {"queued": "runs_waiting", "running": "runs_running"}.get(row["stage"], "later")
            found.setdefault(row["queue"], {})[stage] = row["runs"]
    return [Depth(queue, **found[queue]) for queue in sorted(found)]


def _count_jobs(depth: dict[str, Any], row: Row) -> None:
    stage = row["stage"]
    if stage in ("ready", "held", "scheduled", "waiting", "running"):
        depth[stage] = row["jobs"]
    if stage in ("ready", "held") and row["since"] is not None:
        depth["oldest"] = min(row["since"], depth.get("oldest", row["since"]))


@whole
def flow(connection: Connection, since: float) -> Flow:
    """How it went since then (seconds since the epoch)."""
    with connection.reading() as database:
        rows = database.execute(_ENDED, {"since": since}).fetchall()
    times = sorted(row["seconds"] for row in rows if row["seconds"] is not None)
    ended = Counter(row["result"] for row in rows)
    return Flow(dict(ended), _nth(times, 0.5), _nth(times, 0.95))


def _nth(times: Sequence[float], share: float) -> float | None:
    return times[min(len(times) - 1, int(len(times) * share))] if times else None


@whole
def dead_by_kind(connection: Connection) -> dict[str, int]:
    """How many dead letters nobody has requeued."""
    with connection.reading() as database:
        return {row["kind"]: row["runs"] for row in database.execute(_DEAD).fetchall()}


@whole
def held_runs(connection: Connection) -> dict[str, list[int]]:
    """The runs that wait for each limit, as it is called, in their order."""
    found: dict[str, list[int]] = {}
    with connection.reading() as database:
        for row in database.execute(_HELD).fetchall():
            found.setdefault(row["held"], []).append(row["run"])
    return found


@whole
def ready_jobs(connection: Connection) -> list[tuple[int, str, str]]:
    """The runs, keys and pools of all that wait for a worker of the queue, by rank."""
    with connection.reading() as database:
        found = database.execute(_ORDER, {"private": PRIVATE_POOL}).fetchall()
    return [(row["run"], row["key"], row["pool"]) for row in found]


@whole
def leased(connection: Connection) -> list[Leased]:
    """What workers of the queue run."""
    with connection.reading() as database:
        found = [Leased(**dict(row)) for row in database.execute(_LEASED).fetchall()]
    return sorted(found, key=lambda job: (job.run, job.key))


@whole
def steps_ended(connection: Connection, run: int) -> dict[tuple[str, int], int]:
    """How many steps have ended in which attempt of which job."""
    with connection.reading() as database:
        found = database.execute(_STEPS, {"run": run}).fetchall()
    return {(row["job"], row["attempt"]): row["ended"] for row in found}
