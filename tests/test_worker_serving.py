"""A worker of the queue whose clock stands until a test moves it, with an engine in memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.cli.scheduling import Schedules
from runner.events import Event, RunFinished
from runner.storage import Storage
from runner.store import Store, hot, reads, workers
from runner.worker import QueueWorker, Site, Terms, serving
from tests.leftovers import wait_until
from tests.test_worker import MemoryEngine

pytestmark = pytest.mark.timeout(60)

HOURLY = """\
on:
  schedule:
    - cron: "0 * * * *"
jobs:
  report:
    runs-on: here
    steps:
      - run: print ${{ github.event.schedule }}
"""


class MovedStore(Store):
    """A store whose clock a test moves."""

    time = 0.0

    def now(self) -> float:
        return self.time


class Heard:
    """What a worker said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[Event] = []

    def say(self, level: str, message: str, *, run: int = 0, job: str = "", **more: Any) -> None:
        del level, run, job, more
        self.lines.append(message)


def at(hour: int, minute: int = 0) -> float:
    return datetime(2026, 3, 2, hour, minute, tzinfo=UTC).timestamp()


@pytest.fixture
def store(pipe_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MovedStore]:
    """It is half past nine; this process is in a project with a pipeline for every hour."""
    (tmp_path / "project" / "pipelines").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    Path("pipe.yaml").write_text("images: {here: image}")
    Path("pipelines/hourly.yaml").write_text(HOURLY)
    with MovedStore.open(pipe_home) as opened:
        opened.time = at(9, 30)
        yield opened


Make = Callable[..., QueueWorker]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def make(store: MovedStore, heard: Heard) -> Make:
    def worker(terms: Terms, beside: Callable[[], float | None] = lambda: None) -> QueueWorker:
        engines = {"docker": MemoryEngine()}
        site = Site(store.home, store.storage, engines, lambda: None)
        storage = Storage(store.storage)
        return QueueWorker(store, storage, site, terms, heard.events.append, heard, beside)

    return worker


def test_a_schedule_starts_runs_that_the_worker_does(
    store: MovedStore, make: Make, heard: Heard
) -> None:
    schedules = Schedules(store, Path(), "once", heard)
    assert schedules.tick() <= 30 * 60
    assert reads.runs(store) == []
    store.time = at(10, 1)
    make(Terms(slots=2, once=True), schedules.tick).work()
    [run] = reads.runs(store)
    assert (run.event, run.result, run.file) == ("schedule", "success", "pipelines/hourly.yaml")
    log = Storage(store.storage).log(run.id, "report", 1)
    assert b"".join(chunk.data for chunk in log.chunks(step=1)) == b"0 * * * *\n"
    schedules.tick()
    assert len(reads.runs(store)) == 1, "each time starts one"
    store.time = at(13, 5)
    schedules.tick()
    assert len(reads.runs(store)) == 2, "of those that were missed, the last"
    assert [type(event) for event in heard.events].count(RunFinished) == 1


def test_what_was_edited_is_what_the_next_time_starts(
    store: MovedStore, make: Make, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.cli.scheduling.LOOK", 0.0)
    schedules = Schedules(store, Path(), "once", heard)
    schedules.tick()
    Path("pipelines/hourly.yaml").write_text(HOURLY.replace("print", "print edited"))
    store.time = at(10, 1)
    make(Terms(slots=1, once=True), schedules.tick).work()
    log = Storage(store.storage).log(1, "report", 1)
    assert b"".join(chunk.data for chunk in log.chunks(step=1)) == b"edited 0 * * * *\n"


def test_it_is_known_to_others_as_long_as_it_works(
    store: MovedStore, make: Make, heard: Heard
) -> None:
    worker = make(Terms(slots=3, labels=("GPU",)))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(worker.work)
        [record] = wait_until(lambda: workers.all_workers(store.notes), "it is known")
        assert (record.name, record.slots, record.labels) == (worker.name, 3, ("gpu",))
        assert (record.process, record.state) == (queue.process_identity(), "working")
        worker.stop()
        working.result(20)
    assert workers.all_workers(store.notes) == []
    assert list((store.home / "wake").iterdir()) == []


def test_one_that_was_taken_for_dead_makes_itself_known_again(
    store: MovedStore, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "TEND", 0.02)
    worker = make(Terms(slots=1))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(worker.work)
        wait_until(lambda: workers.all_workers(store.notes), "it is known")
        workers.unregister(store.notes, worker.name)
        wait_until(lambda: workers.all_workers(store.notes), "it is known again")
        worker.stop()
        working.result(20)


def test_a_submitted_run_wakes_it(
    store: MovedStore, make: Make, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking from time to time would take longer than the test may."""
    monkeypatch.setattr(serving, "TEND", 600.0)
    schedules = Schedules(store, Path(), "once", heard)
    schedules.tick()
    worker = make(Terms(slots=1, once=True))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(worker.work)
        wait_until(lambda: workers.all_workers(store.notes), "it is known")
        store.time = at(10, 1)
        schedules.tick()
        working.result(20)
    assert hot.load_run(store.notes, 1).result == "success"
