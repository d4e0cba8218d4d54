"""Attempts of submitted runs: their policy, their pauses, and workers that are lost between them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.engines.box import Workspace
from runner.execute.policy import Policy
from runner.queue import JobOutcome, Lease
from runner.storage import Storage
from runner.store import Store, dead, hot, reads
from runner.store.rows import StoredJob
from runner.worker import Means
from runner.worker.attempt import attempt
from runner.worker.hands import Wish
from tests.test_worker import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store.open(tmp_path) as store:
        yield Bench(tmp_path, store)


def submit(bench: Bench, script: str, retry: dict[str, Any], **keys: Any) -> float:
    """A submitted run of one job; returns a time after which it is in the queue."""
    run = bench.submit({"a": {"run": script, "retry": {"jitter": False, **retry}, **keys}})
    return hot.load_run(bench.store.notes, run).created_at + 1


def take(bench: Bench, now: float) -> Lease | None:
    found = queue.lease(bench.store, "me", now=now)
    return found[0] if found else None


def work(bench: Bench, now: float) -> JobOutcome:
    """Leases the next attempt of whatever was submitted, runs it, and gives it back."""
    lease = take(bench, now)
    assert lease
    means = Means({"docker": bench.engine}, Workspace(), Policy(images={"here": "image"}))
    outcome = attempt(lease, means, Storage(bench.home), bench.events.append, Wish())
    queue.finish(bench.store, lease, outcome, now)
    return outcome


def lose(bench: Bench, now: float) -> None:
    """A worker takes the next attempt and is gone with it."""
    lease = take(bench, now)
    assert lease
    found = queue.tend(bench.store, lease.deadline + 1)
    assert found.lost == ((lease.run, lease.key),)


def job(bench: Bench) -> StoredJob:
    return hot.load_run(bench.store.notes, 1).jobs["a"]


def reasons(bench: Bench) -> list[tuple[str | None, str]]:
    return [(each.result, each.reason) for each in reads.run(bench.store, 1).attempts]


def test_the_pause_grows_up_to_its_limit(bench: Bench) -> None:
    retry = {"attempts": 5, "delay": "10s", "max-delay": "25s"}
    now, pauses = submit(bench, "exit 1", retry), []
    while pause := work(bench, now).retry_after:
        pauses.append(pause)
        assert take(bench, now + pause - 0.1) is None
        assert queue.next_time(bench.store) == pytest.approx(now + pause)
        now += pause
    assert pauses == [10, 20, 25, 25]
    assert (job(bench).result, job(bench).attempt) == ("failure", 5)


@pytest.mark.parametrize(
    ("on", "script", "again"),
    [
        ("failure", "exit 1", True),
        ("timeout", "exit 1", False),
        ("timeout", "hang", True),
        (["failure", "lost"], "hang", False),
    ],
)
def test_what_is_tried_again(bench: Bench, on: Any, script: str, again: bool) -> None:
    now = submit(bench, script, {"on": on, "delay": "0s"}, **{"timeout-minutes": 0.001})
    assert (work(bench, now).retry_after is not None) == again
    assert (job(bench).state == "queued") == again


@pytest.mark.parametrize("on", [["failure"], ["lost"]])
def test_a_lost_worker_costs_no_attempt_and_no_pause(bench: Bench, on: list[str]) -> None:
    now = submit(bench, "exit 1", {"attempts": 2, "delay": "10s", "on": [*on, "failure"]})
    lose(bench, now)
    assert (job(bench).state, job(bench).attempt, job(bench).losses) == ("queued", 2, 1)
    assert work(bench, now + 100).retry_after == 10
    lose(bench, now + 110)
    assert work(bench, now + 200).retry_after is None
    assert reasons(bench) == [
        ("failure", "lost"),
        ("failure", ""),
        ("failure", "lost"),
        ("failure", ""),
    ]


def test_a_job_that_ends_its_workers_is_given_to_no_fourth(bench: Bench) -> None:
    now = submit(bench, "print x", {"attempts": 9})
    for at in range(3):
        assert job(bench).state == "queued"
        lose(bench, now + 100 * at)
    assert (job(bench).result, job(bench).reason, job(bench).losses) == ("failure", "poison", 3)
    assert take(bench, now + 1000) is None


def test_a_run_of_which_the_time_is_over_is_not_tried_again(bench: Bench) -> None:
    run = bench.submit(
        {"a": {"run": "exit 1", "retry": {"attempts": 9, "delay": "0s"}}}, timeouts={"run": "1m"}
    )
    now = hot.load_run(bench.store.notes, run).created_at + 1
    lease = take(bench, now)
    assert lease
    assert queue.renew(bench.store, lease, now + 50)
    queue.tend(bench.store, now + 59)
    assert not queue.cancelled(bench.store, run)
    queue.tend(bench.store, now + 61)
    assert queue.cancel_requests(bench.store, "me") == [(run, "a")]
    queue.finish(bench.store, lease, JobOutcome("cancelled", retry_after=0.0), now + 62)
    ended = hot.load_run(bench.store.notes, run)
    assert (ended.result, ended.reason) == ("failure", "timeout")


@pytest.mark.parametrize(("cancelled", "kinds"), [(False, ["timeout"]), (True, [])])
def test_a_run_dies_of_the_time_of_a_job_unless_somebody_cancelled_it(
    bench: Bench, cancelled: bool, kinds: list[str]
) -> None:
    now = submit(bench, "exit 1", {"attempts": 1})
    lease = take(bench, now)
    assert lease
    if cancelled:
        queue.cancel(bench.store, lease.run, now)
    queue.finish(bench.store, lease, JobOutcome("cancelled", reason="timeout"), now)
    assert hot.load_run(bench.store.notes, lease.run).result == "cancelled"
    letters = dead.letters(bench.store.notes)
    assert [letter.kind for letter in letters] == kinds
    assert {letter.error for letter in letters} <= {"a: timeout"}


def test_a_run_that_nobody_takes_in_time_expires(bench: Bench) -> None:
    run = bench.submit({"a": "print x"}, timeouts={"queue": "1h"})
    entered = hot.load_run(bench.store.notes, run).created_at
    queue.tend(bench.store, entered + 3599)
    assert hot.load_run(bench.store.notes, run).state == "queued"
    queue.tend(bench.store, entered + 3601)
    ended = hot.load_run(bench.store.notes, run)
    assert (ended.result, ended.reason) == ("failure", "expired")
    assert take(bench, entered + 3602) is None
