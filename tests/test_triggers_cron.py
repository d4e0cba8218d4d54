"""Cron: which times fire, once for any number of schedulers, and what becomes of missed ones."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from runner.cli.scheduling import Schedules
from runner.cron import times
from runner.store import Store, dead, limits
from runner.store.limits import Scope
from runner.store.schedules import Schedule
from runner.triggers.cron import Clock, Misfire, key_of
from runner.worker.log import Level

HOURLY = Schedule("/project", "ci.yaml", "0 * * * *")


class StoppedStore(Store):
    """A store whose clock stands until somebody moves it."""

    time = 0.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoppedStore]:
    with StoppedStore.open(tmp_path) as opened:
        opened.time = at(9, 30)
        yield opened


def at(hour: int, minute: int = 0, second: int = 0) -> float:
    return datetime(2026, 3, 2, hour, minute, second, tzinfo=UTC).timestamp()


def clock(store: StoppedStore, misfire: Misfire = "once") -> tuple[Clock, list[str]]:
    """A clock, and the keys of the runs that it starts."""
    started: list[str] = []
    found = Clock(store, misfire, lambda _, key: started.append(key))
    found.watch([HOURLY])
    return found, started


def test_a_schedule_that_is_new_fires_for_times_to_come(store: StoppedStore) -> None:
    found, started = clock(store)
    assert (found.tick(), started) == (1800.0, [])
    store.time = at(10)
    assert (found.tick(), started) == (3600.0, [key_of(HOURLY, at(10))])
    found.tick()
    assert len(started) == 1


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [
        ("skip", []),
        ("once", [at(13)]),
        ("all", [at(10), at(11), at(12), at(13)]),
    ],
)
def test_times_at_which_nobody_watched(
    store: StoppedStore, misfire: Misfire, expected: list[float]
) -> None:
    clock(store)[0].tick()
    store.time = at(13, 5)
    found, started = clock(store, misfire)
    found.tick()
    found.tick()
    assert started == [key_of(HOURLY, moment) for moment in expected]


def test_a_time_that_just_passed_is_not_missed(store: StoppedStore) -> None:
    found, started = clock(store, "skip")
    found.tick()
    store.time = at(10, 0, 30)
    found.tick()
    assert started == [key_of(HOURLY, at(10))]


def test_schedulers_agree_on_the_key_and_none_comes_late(store: StoppedStore) -> None:
    one, first = clock(store)
    two, second = clock(store)
    one.tick()
    two.tick()
    store.time = at(10)
    one.tick()
    two.tick()
    assert (first, second) == ([key_of(HOURLY, at(10))], [])


class Quiet:
    """A log that nobody reads."""

    def say(self, level: Level, message: str, *, run: int = 0, job: str = "", **more: Any) -> None:
        """Says nothing."""


@pytest.fixture
def scheduled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, StoppedStore]]:
    """A project with a pipeline that is due as soon as it was looked at twice, and its store."""
    monkeypatch.setenv("PIPE_HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    (project / "pipelines").mkdir(parents=True)
    job = {"runs-on": "ubuntu-latest", "steps": [{"run": "true"}]}
    text = {"on": {"schedule": [{"cron": HOURLY.cron}]}, "jobs": {"a": job}}
    (project / "pipelines" / "ci.yaml").write_text(json.dumps(text))
    with StoppedStore.open(tmp_path / "home") as store:
        store.time = at(9, 30)
        yield project, store


def test_a_time_whose_run_cannot_be_made_is_a_dead_letter(
    scheduled: tuple[Path, StoppedStore],
) -> None:
    project, store = scheduled
    schedules = Schedules(store, project, "once", Quiet())
    schedules.tick()
    (project / "pipe.yaml").write_text("nonsense: [")
    store.time = at(10)
    schedules.tick()
    schedules.tick()
    [letter] = dead.letters(store.notes)
    assert (letter.kind, letter.file) == ("unparseable", "pipelines/ci.yaml")


def test_a_time_that_a_quota_refuses_is_a_dead_letter(scheduled: tuple[Path, StoppedStore]) -> None:
    project, store = scheduled
    limits.change(store.promises, Scope("global", "", per_day=0, refuses=True), store.now())
    schedules = Schedules(store, project, "once", Quiet())
    schedules.tick()
    store.time = at(10)
    schedules.tick()
    [letter] = dead.letters(store.notes)
    assert "has had its 0 runs of today" in letter.error


@pytest.mark.parametrize(
    ("misfire", "expected"), [("skip", ["2026-03-04T12:00"]), ("once", ["2026-03-04T12:00"])]
)
def test_more_times_than_are_started_at_once_passed(
    store: StoppedStore, misfire: Misfire, expected: list[str]
) -> None:
    started: list[str] = []
    found = Clock(store, misfire, lambda _, key: started.append(key))
    found.watch([Schedule("/project", "ci.yaml", "* * * * *")])
    found.tick()
    store.time = at(12, 0, 30) + 2 * 86400
    found.tick()
    assert [key.split()[-1][:16] for key in started] == expected


def test_a_start_that_fails_is_made_again(store: StoppedStore) -> None:
    fails = [True]
    started: list[str] = []

    def start(_: Schedule, key: str) -> None:
        if fails.pop() if fails else False:
            raise OSError("no space left")
        started.append(key)

    found = Clock(store, "once", start)
    found.watch([HOURLY])
    found.tick()
    store.time = at(10)
    with pytest.raises(OSError, match="no space"):
        found.tick()
    found.tick()
    assert started == [key_of(HOURLY, at(10))]


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        ("30 5 * * 1-5", "", "2026-03-06T05:30+00:00", "2026-03-09T05:30+00:00"),
        ("0 0 29 2 *", "", "2026-03-01T00:00+00:00", "2028-02-29T00:00+00:00"),
        # Clocks go from 2:00 to 3:00 there, so 2:30 does not exist that day.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+00:00", "2026-03-29T01:00+00:00"),
        # And back from 3:00 to 2:00, so 2:30 exists twice.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+00:00", "2026-10-25T00:30+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30+00:00", "2026-10-26T01:30+00:00"),
    ],
)
def test_when_a_line_fires(line: str, zone: str, after: str, expected: str) -> None:
    start = datetime.fromisoformat(after).timestamp()
    [found] = islice(times(line, zone, start), 1)
    assert datetime.fromtimestamp(found, UTC).isoformat(timespec="minutes") == expected
