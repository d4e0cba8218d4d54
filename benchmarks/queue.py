"""The durable queue by itself: our code against the statements that it executes, and its peers."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.recording import Statement, recording, replaying
from benchmarks.sandbox import Sandbox

JOBS = 400
#: How many more wait in the queue while jobs are taken from it.
DEPTH = 2000
BATCH = 100
#: So many jobs are taken before it is another's turn.
SLICE = 20
RUNS = 5
#: At most this many times what the statements alone take, with the same promises.
LEASE_BOUND = Bound(1 / 0.6)
ENQUEUE_BOUND = Bound(1 / 0.5)
PEER_BOUND = Bound(1.0)
#: A lease in a store that has seen much.
FULL_BOUND = Bound(0.5, of="ours")
FINISHED, SCHEDULED, BLOCKED = 300_000, 50_000, 10_000
LEASES = 200
_ALONE = "the same statements"

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
    enter, work = _enter(jobs // BATCH or 1), _work(jobs // SLICE or 1)
    entering = [pair for _ in range(pairs) for pair in _compared(next(places), enter, {})]
    name = f"queue, enter in batches of {BATCH}"
    yield Figure(name, "ms", tuple(each[""] for each in entering), _ALONE, ENQUEUE_BOUND)
    working: list[Mapping[str, Pair]] = []
    for _ in range(pairs):
        place = next(places)
        _fill_home(place, jobs)
        peers = {"huey": _huey(place, jobs), "litequeue": _litequeue(place, jobs)}
        working += _compared(place, work, peers)
    name = "queue, lease and finish"
    yield Figure(name, "ms", tuple(each[""] for each in working), _ALONE, LEASE_BOUND)
    for peer in ("huey", "litequeue"):
        beside = tuple(each[peer] for each in working)
        yield Figure(name, "ms", beside, peer, PEER_BOUND)
    yield _lease_among_many(next(places), effort)


@dataclass(frozen=True, slots=True)
class _Work:
    """Something that is done in slices; `begin` gets a store, and returns what does one of them."""

    slices: int
    jobs_a_slice: int
    begin: Callable[[Any], Callable[[], None]]


def _enter(batches: int) -> _Work:
    from runner import queue

    def begin(store: Any) -> Callable[[], None]:
        def batch() -> None:
            queue.enqueue_all(store, [_entry()] * BATCH, store.now())

        return batch

    return _Work(batches, BATCH, begin)


def _work(slices: int) -> _Work:
    """As a worker with one slot does: each end takes the next job with it."""
    from runner import queue

    success = queue.JobOutcome("success")

    def begin(store: Any) -> Callable[[], None]:
        [lease] = queue.lease(store, "worker", now=store.now())
        held = [lease]

        def some() -> None:
            for _ in range(SLICE):
                done, now = held.pop(), store.now()
                _, following = queue.finish_and_lease(store, done, success, "worker", now=now)
                held.extend([following] if following else [])

        return some

    return _Work(slices, SLICE, begin)


def _fill_home(place: Path, jobs: int) -> None:
    from runner import queue
    from runner.store import Store

    with Store.open(place) as store:
        queue.enqueue_all(store, [_entry()] * (jobs + DEPTH), store.now())


def _compared(
    place: Path, work: _Work, peers: Mapping[str, Callable[[], None]]
) -> Iterator[Mapping[str, Pair]]:
    """Milliseconds a job, slice by slice: beside what peers take, by their names, and beside ("")
    the statements alone that were recorded when the same was done before.

    All take turns, since a disk that others use has another speed a second later.
    """
    from runner.store import Store

    Store.open(place).close()
    for copy in ("recorded", "replayed"):
        _copy(place / "pipe.db", place / copy)
    first, *recorded = _recorded(place / "recorded", work)
    with Store.open(place) as store, replaying(place / "replayed" / "pipe.db") as replay:
        some = work.begin(store)
        replay(first)
        for statements in recorded:
            ours = _seconds(some)
            others = {"": _seconds(partial(replay, statements))}
            others |= {name: _seconds(peer) for name, peer in peers.items()}
            per_job = 1000 / work.jobs_a_slice
            yield {name: Pair(ours * per_job, each * per_job) for name, each in others.items()}


def _recorded(home: Path, work: _Work) -> list[list[Statement]]:
    """What is executed before the first slice, and in each of them."""
    from runner.store import Store

    with recording() as statements, Store.open(home) as store:
        statements.clear()
        some = work.begin(store)
        parts = [statements[:]]
        for _ in range(work.slices):
            statements.clear()
            some()
            parts.append(statements[:])
    return parts


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


def _huey(place: Path, jobs: int) -> Callable[[], None]:
    """A slice of Huey's own SQLite queue; that a task has ended is kept, as ours is."""
    from huey import SqliteHuey

    huey = SqliteHuey(filename=str(place / "huey.db"), fsync=True)
    task = huey.task()(lambda: True)
    with _unsynced(huey.storage.conn):
        for _ in range(jobs + DEPTH):
            task()

    def some() -> None:
        for _ in range(SLICE):
            huey.execute(huey.dequeue())

    return some


def _litequeue(place: Path, jobs: int) -> Callable[[], None]:
    """The same of litequeue, which looks at all jobs that wait to find the oldest."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(place / "lite.db"))
    with _unsynced(queue.conn):
        for number in range(jobs + DEPTH):
            queue.put(str(number))

    def some() -> None:
        for _ in range(SLICE):
            queue.done(queue.pop().message_id)

    return some


@contextmanager
def _unsynced(connection: sqlite3.Connection) -> Iterator[None]:
    """Filling a queue is not what is measured; after it, each commit waits for the disk."""
    connection.execute("PRAGMA synchronous = OFF")
    yield
    connection.execute("PRAGMA synchronous = FULL")


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
