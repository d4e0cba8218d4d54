"""Workers of the queue: how soon they wake, what idling costs, and how they share many short jobs."""

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair, percentile
from benchmarks.sandbox import BUSYBOX, PIPE, TIMEOUT, FailedError, Sandbox

WAKES = 200
WAKE_BOUND = Bound(3, of="ours")
IDLE_SECONDS = 60
#: Of a processor's second: half a percent.
IDLE_BOUND = Bound(5, of="ours")
#: How often what the container's own start takes.
FIRST_LINE_BOUND = Bound(1.3)
FIRST_LINES = 15
#: Seconds in which containers go, and the worker opens the box for the next run.
REST = 0.8
WORKERS, JOBS, JOB_SECONDS = 4, 2000, 0.05
FLEET_BOUND = Bound(1.3)
#: An equal share is at most so many times what any of them did: that is a tenth of all at least.
SHARE_BOUND = Bound(2.5)

#: Seconds between looks at what workers have done.
PAUSE = 0.02

_TICKS = os.sysconf("SC_CLK_TCK")


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """What users of a queue notice."""
    yield from _waking(sandbox, effort)
    yield _idling(sandbox, effort)
    yield _first_line(sandbox, effort)
    yield from _fleets(sandbox, effort)


# -- waking


def _waking(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """From the commit of a run until the worker, in another process, says that it has leased it."""
    project = sandbox.project("waking", pipelines.on_this_machine(":"))
    delays = []
    with _worker(sandbox, "--host", "--jobs", "1") as worker, _timed_store(sandbox) as store:
        entry = _entry(sandbox, store, project)
        worker.read_until("begins")
        for _ in range(effort.sized(WAKES)):
            _await_end(store, TIMEOUT)
            time.sleep(PAUSE)
            _enqueue(store, [entry])
            worker.read_until("begins")
            delays.append((time.perf_counter() - store.woken_at) * 1000)
    for percent in (50, 95):
        bound = WAKE_BOUND if percent == 95 else None
        pairs = (Pair(percentile(delays, percent)),)
        yield Figure(f"workers, idle, commit to lease, p{percent}", "ms", pairs, bound=bound)
    _forget(sandbox)


@contextmanager
def _timed_store(sandbox: Sandbox) -> Iterator[Any]:
    from runner.store import Store

    class Timed(Store):
        """Notes when it rings, which is right after the commit."""

        woken_at = 0.0

        def wake(self) -> None:
            self.woken_at = time.perf_counter()
            super().wake()

    url = sandbox.env.get("PIPE_DATABASE_URL", "")
    with Timed.open(sandbox.home, url) as store:
        yield store


# -- idling


def _idling(sandbox: Sandbox, effort: Effort) -> Figure:
    """Milliseconds of processor time in a second, once the worker has settled."""
    seconds = IDLE_SECONDS * min(1.0, effort.scale)
    with _worker(sandbox) as worker:
        worker.read_until("takes up to")
        time.sleep(2)
        before, start = worker.processor_seconds(), time.monotonic()
        time.sleep(seconds)
        used = worker.processor_seconds() - before
        pair = Pair(used / (time.monotonic() - start) * 1000)
    return Figure("workers, idle, processor time a second", "ms", (pair,), bound=IDLE_BOUND)


# -- the first line of output


def _first_line(sandbox: Sandbox, effort: Effort) -> Figure:
    """`pipe submit --wait` with a worker that has run one before, until what a step prints is there."""
    project = sandbox.project("first-line", pipelines.one_job(["echo it is here"]))
    submit = (PIPE, "submit", "--wait", "pipeline.yaml")
    docker = sandbox.docker_command(BUSYBOX, "echo", "it is here")
    with _worker(sandbox, "--log-level", "error"):
        for _ in range(2):
            _seconds_to_line(sandbox, project, docker), _seconds_to_line(sandbox, project, submit)
        pairs = tuple(
            Pair(
                _seconds_to_line(sandbox, project, submit),
                _seconds_to_line(sandbox, project, docker),
            )
            for _ in range(effort.pairs(FIRST_LINES))
        )
    _forget(sandbox)
    return Figure(
        "workers, submit to first line", "s", pairs, "docker run IMAGE echo", FIRST_LINE_BOUND
    )


def _seconds_to_line(sandbox: Sandbox, project: Path, command: Sequence[str]) -> float:
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=project, env=sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout
        if not any(b"it is here" in line for line in process.stdout):
            raise FailedError(f"`{' '.join(command)}` printed nothing")
        seconds = time.perf_counter() - start
        process.wait(TIMEOUT)
    finally:
        process.kill()
        process.wait()
    time.sleep(REST)
    return seconds


# -- many short jobs


def _fleets(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    yield from _fleet(sandbox, effort, "SQLite")
    with _server() as url:
        if url is None:
            print("PostgreSQL is not installed: no figures of workers on it", flush=True)
            return
        env = {**sandbox.env, "PIPE_DATABASE_URL": url}
        yield from _fleet(replace(sandbox, env=env), effort, "PostgreSQL")


def _fleet(sandbox: Sandbox, effort: Effort, database: str) -> Iterator[Figure]:
    """Workers with a slot each, and jobs that sleep on this machine, each in a run of its own.

    Ideal is that nothing but sleeping takes time: jobs times their length, divided by the slots. The
    processes of the steps and our own code have to fit in beside it, on all cores together. The
    time counts from when the workers are there and all is queued until the last run has ended.
    """
    jobs = max(WORKERS * 10, effort.sized(JOBS))
    project = sandbox.project(
        f"fleet-{database.lower()}", pipelines.on_this_machine(f"sleep {JOB_SECONDS}")
    )
    with _timed_store(sandbox) as store, ExitStack() as started:
        entry = _entry(sandbox, store, project)
        for _ in range(WORKERS):
            options = ("--host", "--jobs", "1", "--log-level", "error")
            started.enter_context(_worker(sandbox, *options))
        _await_workers(store, WORKERS)
        _await_end(store, TIMEOUT)
        start = time.perf_counter()
        _enqueue(store, [entry] * jobs)
        _await_end(store, TIMEOUT + jobs)
        seconds = time.perf_counter() - start
        shares = _shares(store)
    name = f"workers, {WORKERS} on {database}"
    ideal = jobs * JOB_SECONDS / WORKERS
    yield Figure(f"{name}, short jobs", "s", (Pair(seconds, ideal),), "sleeping alone", FLEET_BOUND)
    least = min(shares.values()) if len(shares) == WORKERS else 0
    pair = Pair(jobs / WORKERS, least)
    yield Figure(f"{name}, an equal share", "jobs", (pair,), "the least that one did", SHARE_BOUND)
    _forget(sandbox)


def _shares(store: Any) -> Counter[str]:
    """How many attempts each worker had."""
    with store.notes.reading() as database:
        found = database.execute("SELECT worker FROM attempt WHERE run > 1").fetchall()
    return Counter(row["worker"] for row in found)


@contextmanager
def _server() -> Iterator[str | None]:
    """The URL of an empty database of a server that keeps what it promises; None without one."""
    import pytest

    from tests import servers

    with ExitStack() as started:
        try:
            server = started.enter_context(servers.running(()))
        except pytest.skip.Exception:
            yield None
            return
        yield server.new_database()


# -- what all of them need


@dataclass(frozen=True, slots=True)
class _Worker:
    """A `pipe worker` that runs, and what it says."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def read_until(self, wanted: str) -> None:
        """Returns when it has said that."""
        for line in self.said:
            if wanted.encode() in line:
                return
        raise FailedError(f"`pipe worker` ended before it said `{wanted}`")

    def processor_seconds(self) -> float:
        """What the process has used so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS


@contextmanager
def _worker(sandbox: Sandbox, *options: str) -> Iterator[_Worker]:
    process = subprocess.Popen(
        (PIPE, "worker", *options), cwd=sandbox.folder, env=sandbox.env, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr
        yield _Worker(process, process.stderr)
        process.terminate()
        process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
        process.wait()


def _entry(sandbox: Sandbox, store: Any, project: Path) -> Any:
    """What `pipe submit` makes of the project's pipeline; it is queued once, as the first run."""
    from runner.queue.again import again
    from runner.store import hot

    [number] = re.findall(rb"\d+", sandbox.run(PIPE, "submit", "pipeline.yaml", cwd=project).output)
    run = hot.load_run(store.notes, int(number))
    return again(run, {**run.submission.snapshot, "pin": ""}, from_start=True)


def _enqueue(store: Any, entries: Sequence[Any]) -> None:
    from runner import queue

    queue.enqueue_all(store, entries, store.now())


def _await_end(store: Any, seconds: float) -> None:
    """Returns when no run is open. Raises TimeoutError after so many seconds."""
    deadline = time.monotonic() + seconds
    while _open_runs(store):
        if time.monotonic() > deadline:
            raise TimeoutError(f"runs are still open after {seconds:g} s")
        time.sleep(PAUSE)


def _await_workers(store: Any, count: int) -> None:
    from runner.store import workers

    while len(workers.all_workers(store.notes)) < count:
        time.sleep(PAUSE)


def _open_runs(store: Any) -> int:
    with store.notes.reading() as database:
        row = database.execute("SELECT EXISTS (SELECT 1 FROM run WHERE state != 'finished') AS n")
        return int(row.fetchone()["n"])


def _forget(sandbox: Sandbox) -> None:
    """The next one finds an empty home."""
    shutil.rmtree(sandbox.home)
