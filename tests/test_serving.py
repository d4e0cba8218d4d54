"""A worker of the queue beside what goes wrong: with a real store, and an engine in memory."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.engines.box import Workspace
from runner.errors import EnvironmentMissingError
from runner.events import Event, JobStarted
from runner.execute.policy import Policy
from runner.plugins import Loaded
from runner.queue import Submission
from runner.storage import Storage
from runner.store import Store
from runner.terminal.log import WorkerLog
from runner.worker import Means, QueueWorker, Site, Terms
from runner.worker.means import RunMeans
from tests.queued import ends, submit
from tests.test_queue import pipeline
from tests.test_worker import MemoryEngine

pytestmark = pytest.mark.timeout(30)


class AwayStore(Store):
    """A store that cannot be reached while it is `away`."""

    away = False

    def now(self) -> float:
        if self.away:
            raise EnvironmentMissingError("the database is away")
        return super().now()


class MemorySite(Site):
    """Runs need no source, and one engine does for all."""

    def open(self, submission: Submission, installed: tuple[Loaded, ...]) -> RunMeans:
        means = Means(self.engines, Workspace(), Policy(images={"ubuntu-latest": "image"}))
        return RunMeans(means, _unheard, _nothing)


def _unheard(_: Event) -> None:
    """Nobody hears of it."""


def _nothing() -> None:
    """There is nothing to do."""


@dataclass
class Lines:
    """What a worker said."""

    said: list[str] = field(default_factory=list)
    #: When the worker has noticed that something is lacking.
    lacks: threading.Event = field(default_factory=threading.Event)

    def say(self, level: Any, message: str, **_: Any) -> None:
        self.said.append(f"{level}: {message}")
        if "trying again" in message:
            self.lacks.set()


class FullDisk(io.StringIO):
    """A stream to a disk that is full."""

    def write(self, _: str) -> int:
        raise OSError("no space left on device")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AwayStore]:
    with AwayStore.open(tmp_path) as opened:
        yield opened


def worker(
    store: Store,
    engine: MemoryEngine,
    log: Lines | WorkerLog,
    *,
    show: Callable[[Event], None] = _unheard,
    beside: Callable[[], float | None] = lambda: None,
    drain: bool = False,
) -> QueueWorker:
    site = MemorySite(store.home, store.home, {"docker": engine}, _nothing)
    terms = Terms(1, drain=drain)
    return QueueWorker(store, Storage(store.home), site, terms, show, log, beside)


def script(text: str) -> str:
    return pipeline(build={"steps": [{"run": text}]})


@contextmanager
def working(one: QueueWorker) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=one.work, daemon=True)
    thread.start()
    yield thread
    thread.join()


def test_a_worker_ends_at_once_although_the_database_is_away(store: AwayStore) -> None:
    submit(store, script("hang"), now=store.now())
    engine, log, started = MemoryEngine(), Lines(), threading.Event()

    def show(event: Event) -> None:
        if isinstance(event, JobStarted):
            started.set()

    one = worker(store, engine, log, show=show)
    with working(one):
        assert started.wait(10)
        store.away = True
        assert log.lacks.wait(10)
        for _ in range(3):
            one.stop()
    assert engine.closed
    assert any("will be taken for lost" in line for line in log.said)
    assert ends(store) == {1: (None, "")}


def test_a_worker_goes_on_beside_a_bug_in_what_is_done_beside(store: AwayStore) -> None:
    log, failures = Lines(), [ValueError("odd")]

    def beside() -> float | None:
        if failures:
            raise failures.pop()
        one.stop()
        return 0.0

    one = worker(store, MemoryEngine(), log, beside=beside)
    one.work()
    assert "error: ValueError: odd" in log.said


def test_a_worker_whose_log_cannot_be_written_goes_on(store: AwayStore) -> None:
    submit(store, script("print hello"), now=store.now())
    log = WorkerLog(FullDisk())
    worker(store, MemoryEngine(), log, show=log.emit, drain=True).work()
    assert ends(store) == {1: ("success", "")}
