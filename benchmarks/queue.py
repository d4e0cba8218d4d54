"""The durable queue by itself: our code against the statements that it executes, and its peers."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.recording import recording, replay
from benchmarks.sandbox import Sandbox

JOBS = 400
#: How many more wait in the queue while jobs are taken from it.
DEPTH = 2000
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
    """Milliseconds a job. Every finish, and every batch that enters, is on the disk when it returns.

    Behind the jobs that are taken, `DEPTH` others wait, in the queues of the peers as well. These
    commit a job's taking and its end by themselves, and so wait for the disk twice.
    """
    jobs, pairs = effort.sized(JOBS), effort.pairs(RUNS)
    places = (sandbox.folder / f"queue-{number}" for number in range(1000))
    yield Figure(
        "queue, one fdatasync of the disk below it",
        "ms",
        tuple(Pair(_probe(sandbox.folder)) for _ in range(pairs)),
    )
    entering = tuple(_entering(next(places), jobs) for _ in range(pairs))
    name = f"queue, enter in batches of {BATCH}"
    yield Figure(name, "ms", entering, "the same statements", ENQUEUE_BOUND)
    working, theirs = [], {peer: list[float]() for peer in PEERS}
    for _ in range(pairs):
        working.append(_working(next(places), jobs))
        for peer, drain in PEERS.items():
            theirs[peer].append(drain(next(places), jobs))
    name = "queue, lease and finish"
    yield Figure(name, "ms", tuple(working), "the same statements", LEASE_BOUND)
    for peer, values in theirs.items():
        beside = tuple(map(Pair, (each.ours for each in working), values))
        yield Figure(name, "ms", beside, peer, PEER_BOUND)
    yield _lease_among_many(next(places), effort)


def _entering(place: Path, jobs: int) -> Pair:
    from runner import queue

    batches = jobs // BATCH or 1

    def enter(store: Any) -> None:
        for _ in range(batches):
            queue.enqueue_all(store, [_entry()] * BATCH, store.now())

    return _compared(place, enter, batches * BATCH)


def _working(place: Path, jobs: int) -> Pair:
    from runner import queue
    from runner.store import Store

    success = queue.JobOutcome("success")
    with Store.open(place) as store:
        queue.enqueue_all(store, [_entry()] * (jobs + DEPTH), store.now())

    def work(store: Any) -> None:
        """As a worker with one slot does: each end takes the next job with it."""
        lease: queue.Lease | None
        [lease] = queue.lease(store, "worker", now=store.now())
        for _ in range(jobs):
            assert lease
            _, lease = queue.finish_and_lease(store, lease, success, "worker", now=store.now())

    return _compared(place, work, jobs)


def _compared(place: Path, act: Callable[[Any], None], jobs: int) -> Pair:
    """Milliseconds a job, and those of the statements that were recorded while it was done once more."""
    from runner.store import Store

    Store.open(place).close()
    for copy in ("recorded", "replayed"):
        _copy(place / "pipe.db", place / copy)
    with Store.open(place) as store:
        ours = _seconds(lambda: act(store))
    with recording() as statements, Store.open(place / "recorded") as store:
        statements.clear()
        act(store)
    seconds = replay(place / "replayed" / "pipe.db", statements)
    return Pair(ours / jobs * 1000, seconds / jobs * 1000)


def _seconds(act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


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


def _copy(database: Path, folder: Path) -> None:
    """The database as it is now, in a folder of its own."""
    folder.mkdir()
    source, target = sqlite3.connect(database), sqlite3.connect(folder / database.name)
    with closing(source), closing(target):
        source.backup(target)
        target.execute("PRAGMA journal_mode = WAL")


def _huey(place: Path, jobs: int) -> float:
    """Milliseconds a job of Huey's own SQLite queue; that it has ended is kept, as ours is."""
    from huey import SqliteHuey

    place.mkdir()
    huey = SqliteHuey(filename=str(place / "huey.db"), fsync=True)
    task = huey.task()(lambda: True)
    with _unsynced(huey.storage.conn):
        for _ in range(jobs + DEPTH):
            task()
    return _drained(lambda: huey.execute(huey.dequeue()), jobs)


def _litequeue(place: Path, jobs: int) -> float:
    """The same of litequeue, which looks at all jobs that wait to find the oldest."""
    from litequeue import LiteQueue

    place.mkdir()
    queue = LiteQueue(str(place / "lite.db"))
    with _unsynced(queue.conn):
        for number in range(jobs + DEPTH):
            queue.put(str(number))
    return _drained(lambda: queue.done(queue.pop().message_id), jobs)


@contextmanager
def _unsynced(connection: sqlite3.Connection) -> Iterator[None]:
    """Filling a queue is not what is measured; after it, each commit waits for the disk."""
    connection.execute("PRAGMA synchronous = OFF")
    yield
    connection.execute("PRAGMA synchronous = FULL")


def _drained(one: Callable[[], object], jobs: int) -> float:
    """`one` takes a job and ends it; it fails when there is none."""

    def all_of_them() -> None:
        for _ in range(jobs):
            one()

    return _seconds(all_of_them) / jobs * 1000


def _probe(folder: Path) -> float:
    """Milliseconds for 4 KiB to reach the disk."""
    rounds = 50
    with (folder / "probe").open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(rounds):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
    return (time.perf_counter() - start) / rounds * 1000


PEERS: Mapping[str, Callable[[Path, int], float]] = {"huey": _huey, "litequeue": _litequeue}


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
