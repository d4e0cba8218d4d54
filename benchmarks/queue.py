"""The durable queue by itself: our code against the statements that it executes, and its peers."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.recording import recording, replay
from benchmarks.sandbox import Sandbox

JOBS = 400
BATCH = 100
RUNS = 5
#: At most this many times what the statements alone take, with the same promises.
LEASE_BOUND = Bound(1 / 0.6)
ENQUEUE_BOUND = Bound(1 / 0.5)
PEER_BOUND = Bound(1.0)
#: A lease in a store that has seen much.
FULL_BOUND = Bound(0.5, of="ours")
FINISHED, SCHEDULED, BLOCKED = 300_000, 50_000, 10_000
LEASES = 200

_TEXT = json.dumps(
    {"on": "push", "jobs": {"build": {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}}}
)
_CONTEXTS: Mapping[str, Any] = {"github": {"ref": "refs/heads/main"}, "inputs": {}, "vars": {}}


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """Milliseconds a job. Every finish, and every batch that enters, is on the disk when it returns."""
    jobs, pairs = effort.sized(JOBS), effort.pairs(RUNS)
    places = (sandbox.folder / f"queue-{number}" for number in range(1000))
    yield Figure(
        "queue, one fdatasync of the disk below it",
        "ms",
        tuple(Pair(_probe(sandbox.folder)) for _ in range(pairs)),
    )
    entering = [_entering(next(places), jobs) for _ in range(pairs)]
    name = f"queue, enter in batches of {BATCH}"
    yield Figure(name, "ms", tuple(entering), "the same statements", ENQUEUE_BOUND)
    working = [_working(next(places), jobs) for _ in range(pairs)]
    name = "queue, lease and finish"
    yield Figure(name, "ms", tuple(working), "the same statements", LEASE_BOUND)
    for peer, drain in (("huey", _huey), ("litequeue", _litequeue)):
        values = tuple(Pair(each.ours, drain(next(places), jobs)) for each in working)
        yield Figure(f"queue, lease and finish, {peer}", "ms", values, peer, PEER_BOUND)
    yield _lease_among_many(next(places), effort)


def _entering(place: Path, jobs: int) -> Pair:
    from runner import queue
    from runner.store import Store

    with recording() as statements, Store.open(place) as store:
        copy = _copy(store, place)
        statements.clear()
        start = time.perf_counter()
        for _ in range(jobs // BATCH or 1):
            queue.enqueue_all(store, [_entry()] * BATCH, store.now())
        ours = time.perf_counter() - start
    count = (jobs // BATCH or 1) * BATCH
    return Pair(ours / count * 1000, replay(copy, statements) / count * 1000)


def _working(place: Path, jobs: int) -> Pair:
    from runner import queue
    from runner.store import Store

    with Store.open(place) as store:
        queue.enqueue_all(store, [_entry()] * jobs, store.now())
    with recording() as statements, Store.open(place) as store:
        copy = _copy(store, place)
        statements.clear()
        start = time.perf_counter()
        while leased := queue.lease(store, "worker", now=store.now()):
            queue.finish(store, leased[0], queue.JobOutcome("success"), store.now())
        ours = time.perf_counter() - start
    return Pair(ours / jobs * 1000, replay(copy, statements) / jobs * 1000)


def _entry() -> Any:
    from runner import queue
    from runner.plan import plan

    submission = queue.Submission(
        file="ci.yaml",
        text=_TEXT,
        project="/project",
        name="CI",
        contexts=_CONTEXTS,
        owner="somebody",
    )
    return queue.Entry(submission, plan(queue.load_pipeline("ci.yaml", _TEXT), _CONTEXTS))


def _copy(store: Any, place: Path) -> Path:
    """The database as it is now, for the statements alone."""
    copy = place / "copy.db"
    with sqlite3.connect(store.home / "pipe.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    target.execute("PRAGMA journal_mode = WAL")
    source.close()
    target.close()
    return copy


def _huey(place: Path, jobs: int) -> float:
    """Milliseconds a job of Huey's own SQLite queue, told to sync what it commits."""
    from huey import SqliteHuey

    place.mkdir()
    huey = SqliteHuey(filename=str(place / "huey.db"), fsync=True)
    task = huey.task()(lambda: None)
    for _ in range(jobs):
        task()

    def one() -> bool:
        found = huey.dequeue()
        if found is not None:
            huey.execute(found)
        return found is not None

    return _drained(one, jobs)


def _litequeue(place: Path, jobs: int) -> float:
    from litequeue import LiteQueue

    place.mkdir()
    queue = LiteQueue(str(place / "lite.db"))
    queue.conn.execute("PRAGMA synchronous = FULL")
    for number in range(jobs):
        queue.put(str(number))

    def one() -> bool:
        found = queue.pop()
        if found is not None:
            queue.done(found.message_id)
        return found is not None

    return _drained(one, jobs)


def _drained(one: Callable[[], bool], jobs: int) -> float:
    start = time.perf_counter()
    done = 0
    while one():
        done += 1
    if done != jobs:
        raise RuntimeError(f"{done} of {jobs} jobs came out")
    return (time.perf_counter() - start) / jobs * 1000


def _probe(folder: Path) -> float:
    """Milliseconds for 4 KiB to reach the disk."""
    rounds = 50
    with (folder / "probe").open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(rounds):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
    return (time.perf_counter() - start) / rounds * 1000


def _lease_among_many(place: Path, effort: Effort) -> Figure:
    from runner import queue
    from runner.store import Store

    with Store.open(place) as store:
        queue.enqueue_all(store, [_entry()] * LEASES, store.now())
        _fill(store, effort)
        pairs = []
        for _ in range(LEASES):
            start = time.perf_counter()
            [_] = queue.lease(store, "worker", now=store.now())
            pairs.append(Pair((time.perf_counter() - start) * 1000))
    shutil.rmtree(place)
    return Figure("queue, a lease among 360,000 jobs", "ms", tuple(pairs), bound=FULL_BOUND)


_COPY_JOBS = """
INSERT INTO job (run, key, job, name, position, pool, state, result, reason, failed_softly, outputs,
                 attempt, cancel_requested, due_at, queued_at, finished_at, finished_order, worker,
                 token, lease_until, rank, owner, held, losses, returns)
WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT :count)
SELECT run, key || :state || number, job, name, position, pool, :state, result, reason,
       failed_softly, outputs, attempt, cancel_requested, due_at + 1e6, queued_at, finished_at,
       finished_order, worker, token, lease_until, rank, owner, held, losses, returns
FROM job, numbers WHERE run = 1 AND key = 'build'
"""


def _fill(store: Any, effort: Effort) -> None:
    """Jobs beside those that are ready; they belong to one run, which leasing never reads."""
    counts: Sequence[tuple[str, int]] = (
        ("finished", FINISHED),
        ("scheduled", SCHEDULED),
        ("blocked", BLOCKED),
    )
    with store.promises.writing() as database:
        for state, count in counts:
            database.execute(_COPY_JOBS, {"state": state, "count": effort.sized(count)})
