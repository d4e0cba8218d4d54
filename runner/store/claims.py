"""Which jobs are leased next: those of one run, or the queue's, by turns and within limits."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.events import Event, RunStarted
from runner.plan import callers_of
from runner.store import limits, projection, raw
from runner.store.connection import Connection, Database, Row, whole
from runner.store.raw import RawRun
from runner.store.rows import PRIVATE_POOL

#: Runs that are put aside in one transaction for a limit, so that other writers come in between.
_MOST_ASIDE = 200
#: So many such transactions follow each other; then leases have to be renewed, before the next ones.
_MOST_LOOKS = 10

#: What is held in front of its environment has to be looked at again before.
_PROMOTE = """
UPDATE job SET state = 'queued' WHERE state = 'scheduled' AND due_at <= :now AND held = ''
"""
_IS_DUE = """
SELECT EXISTS (
    SELECT 1 FROM job WHERE state = 'scheduled' AND due_at <= :now AND held = '') AS found
"""
_IS_READY_IN_RUN = """
SELECT EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND run = :run) AS found
"""
_IS_COMING = """
SELECT EXISTS (SELECT 1 FROM run WHERE due_at IS NOT NULL AND due_at <= :soon)
OR EXISTS (SELECT 1 FROM job JOIN run ON run.id = job.run
    WHERE job.state = 'scheduled' AND job.held != '' AND job.due_at <= :soon AND run.process = '')
OR EXISTS (SELECT 1 FROM job JOIN run ON run.id = job.run
    WHERE job.state = 'running' AND job.worker != '' AND run.process = '') AS found
"""
_SCHEDULED_POOLS = "SELECT DISTINCT pool FROM job WHERE state = 'scheduled' AND pool != :private"
#: Each value of the index's first column costs one look, however many rows have it.
_POOLS = """
WITH RECURSIVE ready (pool) AS (
    SELECT min(pool) FROM job WHERE state = 'queued' AND pool > :private
    UNION ALL
    SELECT (SELECT min(pool) FROM job WHERE state = 'queued' AND job.pool > ready.pool)
    FROM ready WHERE ready.pool IS NOT NULL)
SELECT pool FROM ready WHERE pool IS NOT NULL
"""
_OWNERS = """
WITH RECURSIVE ready (owner) AS (
    SELECT min(owner) FROM job WHERE state = 'queued' AND pool = :pool
    UNION ALL
    SELECT (SELECT min(owner) FROM job
            WHERE state = 'queued' AND pool = :pool AND job.owner > ready.owner)
    FROM ready WHERE ready.owner IS NOT NULL)
SELECT ready.owner, turn.served
FROM ready LEFT JOIN turn ON turn.owner = ready.owner WHERE ready.owner IS NOT NULL
"""
#: With what says whether its run may start.
_FIRST = """
SELECT job.run, job.key, job.attempt, job.rank, job.position,
       run.state, run.project, run.file, run.queue, run.owner
FROM job JOIN run ON run.id = job.run
WHERE job.state = 'queued' AND job.pool = :pool AND job.owner = :owner
ORDER BY job.rank, job.run, job.position LIMIT 1
"""
_OF_RUN = """
SELECT run, key, attempt FROM job WHERE state = 'queued' AND run = :run
ORDER BY position LIMIT :limit
"""
_LEASE = """
UPDATE job SET state = 'running', worker = :worker, token = :token, lease_until = :until
WHERE run = :run AND key = :key
"""
_INSERT_ATTEMPT = """
INSERT INTO attempt (run, job, number, worker, image, started_at, reason)
VALUES (:run, :key, :attempt, :worker, '', :now, '')
"""
_START = """
UPDATE run SET state = 'running', started_at = :now, deadline = :now + time_limit,
               version = version + 1
WHERE id = :run AND state = 'queued'
"""
_TOUCH = "UPDATE run SET version = version + 1 WHERE id = :run"
#: An owner whom nobody knows comes after those who wait already, not before them.
_COME_LAST = """
INSERT INTO turn (owner, served) VALUES (:owner, (SELECT coalesce(max(served), 0) FROM turn))
ON CONFLICT (owner) DO UPDATE SET served = turn.served RETURNING served
"""
_TAKE_TURN = """
INSERT INTO turn (owner, served) VALUES (:owner, (SELECT coalesce(max(served), 0) + 1 FROM turn))
ON CONFLICT (owner) DO UPDATE SET served = (SELECT max(served) + 1 FROM turn)
"""


@dataclass(frozen=True, slots=True)
class Lessee:
    """Who leases, until when (seconds since the epoch), and which labels it has.

    With `only`, it takes no jobs but those that need this label.
    """

    worker: str
    until: float
    labels: Collection[str] = ()
    only: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The runs and keys of jobs that were leased, in order; those runs, and which thereby start.

    `has_moved`: others were put aside, so that what comes behind them can be had now, perhaps by
    other workers. `goes_on`: so many were that there may be more to lease.
    """

    jobs: list[tuple[int, str]]
    runs: Mapping[int, RawRun]
    events: list[Event]
    has_moved: bool = False
    goes_on: bool = False


NOTHING = Claimed([], {}, [])


@whole
def of_run(connection: Connection, lessee: Lessee, run: int, limit: int, now: float) -> Claimed:
    """Leases up to `limit` jobs of a run that belongs to a process; no limits hold for it."""
    values = {"run": run, "limit": limit, "now": now}
    # Looking takes no lock; leasing takes the one that all writers share.
    with connection.reading() as database:
        is_due = _found(database, _IS_DUE, values)
        if not is_due and not _found(database, _IS_READY_IN_RUN, values):
            return NOTHING
    with connection.writing() as database:
        if is_due:
            database.execute(_PROMOTE, values)
        found = database.execute(_OF_RUN, values).fetchall()
        for job in found:
            _lease(database, lessee, job, now)
        return _claimed(database, [(job["run"], job["key"]) for job in found], now)


@whole
def of_queue(connection: Connection, lessee: Lessee, limit: int, now: float) -> Claimed:
    """Leases up to `limit` jobs of runs that were submitted.

    Owners with ready work take turns; one's jobs come by rank. Runs that may not start for a limit
    are put aside until it allows.
    """
    with connection.reading() as database:
        is_due = _found(database, _IS_DUE, {"now": now})
        if not is_due and not _pools(database, lessee):
            return NOTHING
    has_moved = False
    for _ in range(_MOST_LOOKS):
        with connection.writing() as database:
            if is_due:
                database.execute(_PROMOTE, {"now": now})
            claimed = take(database, lessee, limit, now)
        has_moved |= claimed.has_moved
        if claimed.jobs or not claimed.goes_on:
            break
    return replace(claimed, has_moved=has_moved)


def take(database: Database, lessee: Lessee, limit: int, now: float) -> Claimed:
    """As `of_queue`, inside a transaction; what waits for its time goes on waiting."""
    choice = _Choice(database, lessee, now)
    return _claimed(database, list(choice.take(limit)), now, choice.aside)


@whole
def promote(connection: Connection, now: float) -> None:
    """Lets those jobs be leased whose time has come."""
    with connection.reading() as database:
        is_due = _found(database, _IS_DUE, {"now": now})
    if is_due:
        with connection.writing() as database:
            database.execute(_PROMOTE, {"now": now})


@whole
def is_open(connection: Connection, lessee: Lessee, soon: float) -> bool:
    """Whether there is a job that it may take, now or for another attempt, one that others run, or a
    run that is due by `soon` (seconds since the epoch)."""
    with connection.reading() as database:
        return (
            _found(database, _IS_COMING, {"soon": soon})
            or bool(_pools(database, lessee))
            or bool(_pools(database, lessee, _SCHEDULED_POOLS))
        )


def pool_of(labels: Collection[str]) -> str:
    """The name of the pool of those jobs that need a worker with all these labels."""
    return json.dumps(sorted(labels))


class _Choice:
    """Who comes next, inside a transaction."""

    def __init__(self, database: Database, lessee: Lessee, now: float) -> None:
        self._database = database
        self._lessee = lessee
        self._now = now
        self._pools = _pools(database, lessee)
        self._started: set[int] = set()
        #: How many runs were put aside.
        self.aside = 0

    def take(self, limit: int) -> Iterator[tuple[int, str]]:
        """Leases up to `limit` jobs, one after the other."""
        taken = 0
        while taken < limit and self.aside < _MOST_ASIDE:
            job = self._next()
            if job is None:
                return
            if self._is_put_aside(job):
                self.aside += 1
                continue
            _lease(self._database, self._lessee, job, self._now)
            taken += 1
            yield job["run"], job["key"]

    def _next(self) -> Row | None:
        turns: dict[str, int | None] = {}
        pools: dict[str, list[str]] = {}
        for pool in self._pools:
            for row in self._database.execute(_OWNERS, {"pool": pool}).fetchall():
                turns[row["owner"]] = row["served"]
                pools.setdefault(row["owner"], []).append(pool)
        if not turns:
            return None
        owner = self._whose_turn(turns) if len(turns) > 1 else next(iter(turns))
        heads = [self._first(pool, owner) for pool in pools[owner]]
        return min(heads, key=lambda job: (job["rank"], job["run"], job["position"]))

    def _whose_turn(self, turns: Mapping[str, int | None]) -> str:
        served = {
            owner: self._come_last(owner) if last is None else last for owner, last in turns.items()
        }
        owner = min(served, key=lambda each: (served[each], each))
        self._database.execute(_TAKE_TURN, {"owner": owner})
        return owner

    def _come_last(self, owner: str) -> int:
        found: int = self._database.execute(_COME_LAST, {"owner": owner}).fetchone()["served"]
        return found

    def _first(self, pool: str, owner: str) -> Row:
        found: Row = self._database.execute(_FIRST, {"pool": pool, "owner": owner}).fetchone()
        return found

    def _is_put_aside(self, job: Row) -> bool:
        """Whether a limit keeps its run from starting; otherwise it counts from now on."""
        run = job["run"]
        if job["state"] != "queued" or run in self._started:
            return False
        scopes = limits.scopes_of(job["project"], job["file"], job["queue"], job["owner"])
        obstacle = limits.obstacle(self._database, scopes, self._now)
        if obstacle:
            limits.put_aside(self._database, run, obstacle, scopes, self._now)
            return True
        self._started.add(run)
        return False


def _lease(database: Database, lessee: Lessee, job: Row, now: float) -> None:
    values = {
        "run": job["run"],
        "key": job["key"],
        "attempt": job["attempt"],
        "worker": lessee.worker,
        "token": f"{lessee.worker}/{job['attempt']}",
        "until": lessee.until,
        "now": now,
    }
    database.execute(_LEASE, values)
    database.execute(_INSERT_ATTEMPT, values)


def _claimed(
    database: Database, jobs: list[tuple[int, str]], now: float, aside: int = 0
) -> Claimed:
    events: list[Event] = []
    runs: dict[int, RawRun] = {}
    for run in sorted({run for run, _ in jobs}):
        starts = database.execute(_START, {"run": run, "now": now}).rowcount == 1
        if not starts:
            database.execute(_TOUCH, {"run": run})
        runs[run] = raw.read(database, run)
        if starts:
            events.append(_started(runs[run], now))
    projection.write(database, events)
    return Claimed(jobs, runs, events, has_moved=aside > 0, goes_on=aside == _MOST_ASIDE)


def _started(found: RawRun, now: float) -> RunStarted:
    keys = {job["key"] for job in found.jobs}
    calls = {caller for key in keys for caller in callers_of(key)}
    row = found.run
    return RunStarted(
        run=row["id"], time=now, name=row["name"], file=row["file"], jobs=len(keys - calls)
    )


def _pools(database: Database, lessee: Lessee, sql: str = _POOLS) -> list[str]:
    """The pools with ready jobs that it may take, or other jobs, if `sql` selects them."""
    found = database.execute(sql, {"private": PRIVATE_POOL}).fetchall()
    return [row["pool"] for row in found if _may_take(lessee, set(json.loads(row["pool"])))]


def _may_take(lessee: Lessee, needed: set[str]) -> bool:
    return needed <= set(lessee.labels) and (not lessee.only or lessee.only in needed)


def _found(database: Database, question: str, values: Mapping[str, Any]) -> bool:
    return bool(database.execute(question, values).fetchone()["found"])
