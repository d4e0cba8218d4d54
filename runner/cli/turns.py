"""Runs one after the other in this process: what they share, and one of them as it goes on."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner import queue
from runner.cli.foreground import ForegroundRun
from runner.cli.opening import opened_store
from runner.engines.aside import Aside
from runner.engines.box import BoxSpec, Engine
from runner.engines.docker import DockerEngine
from runner.engines.host import HostEngine
from runner.engines.warm import Ground, WarmEngine
from runner.plan import Plan, callers_of
from runner.project import Snapshot
from runner.worker import between


class Turn:
    """A run in a thread of its own."""

    def __init__(self, run: Callable[["Turn"], int], over: Callable[[], None]) -> None:
        """`over` is called, in that thread, when it is."""
        self._lock = threading.Lock()
        self._cancel: Callable[[], None] | None = None
        self._asked = 0

        def work() -> int:
            try:
                return run(self)
            finally:
                over()

        self._running = Aside(work, "pipe-run")

    def result(self) -> int:
        """Waits for its exit code. Raises what kept it from having one."""
        return self._running.result()

    def cancel(self) -> None:
        """Ask it to end; asked again, it ends at once."""
        with self._lock:
            self._asked += 1
            if self._cancel:
                self._cancel()

    @contextmanager
    def asking(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Has `cancel` be what asks it to end, also if that was asked before."""
        with self._lock:
            self._cancel = cancel
            for _ in range(self._asked):
                cancel()
        try:
            yield
        finally:
            with self._lock:
                self._cancel = None


class Turns:
    """The store and the engines of all runs, with boxes that wait for the next one."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._docker = DockerEngine(home)
        self._warm = WarmEngine(self._docker, between)
        host = HostEngine(home)
        self._engines: Mapping[str, Engine] = {"docker": self._warm, "host": host}
        self._store = opened_store(home)

    def run(self, run: ForegroundRun, snapshot: Snapshot | None, turn: Turn) -> int:
        """The exit code of the run, once it is over. Raises PipeError for what keeps it from starting."""
        images = run.images()
        if images:
            self._docker.check()
        queue.rescue(self._store, self._store.now())
        if len(images) > 1:
            self._docker.prefetch(images)
        return run.work(self._store, self._engines, snapshot, turn.asking)

    def settle(self, plan: Plan) -> list[BoxSpec]:
        """After a run: the boxes that its first jobs asked for."""
        first = _first_jobs(plan)
        self._docker.tidy()
        return [spec for spec in self._warm.settle() if spec.job in first]

    def stock(self, wanted: Sequence[BoxSpec], ground: Ground) -> None:
        """Have boxes wait for the next run."""
        self._warm.stock(wanted, ground)

    def close(self) -> None:
        """Leave nothing behind."""
        for engine in self._engines.values():
            engine.finish()
        self._store.close()


def _first_jobs(plan: Plan) -> set[str]:
    """Those that wait for no other."""
    jobs = {job.key: job for job in plan.jobs}

    def waits(key: str) -> bool:
        return any(jobs[each].needs for each in (*callers_of(key), key) if each in jobs)

    return {key for key in jobs if not waits(key)}
