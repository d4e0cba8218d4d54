"""A job ends and the next one is leased, in one transaction."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner import queue
from runner.queue import JobOutcome, Lease, LeaseLostError
from runner.store import Store, hot
from runner.worker.hands import Hands, Wish
from tests.queued import NOON, held, limit, submit, take
from tests.test_queue import SUCCESS, pipeline

CHAIN = pipeline(first={}, second={"needs": "first"})
GPU = pipeline(build={"runs-on": ["self-hosted", "gpu"]})


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def follow(store: Store, lease: Lease, outcome: JobOutcome = SUCCESS) -> Lease | None:
    """The job that comes after this one, which has ended."""
    _, following = queue.finish_and_lease(store, lease, outcome, "w", now=NOON)
    return following


def test_what_an_end_frees_can_be_leased_with_it(store: Store) -> None:
    submit(store, CHAIN)
    [first] = take(store, 1)
    second = follow(store, first)
    assert second
    assert (second.key, second.states["first"].result, second.events) == ("second", "success", ())
    assert follow(store, second) is None
    assert hot.load_run(store.notes, 1).result == "success"


def test_the_run_that_follows_starts(store: Store) -> None:
    submit(store)
    submit(store)
    [first] = take(store, 1)
    second = follow(store, first)
    assert second
    assert [type(event).__name__ for event in second.events] == ["RunStarted"]
    assert hot.load_run(store.notes, 2).state == "running"
    assert take(store) == []


def test_a_place_under_a_limit_goes_from_one_to_the_next(store: Store) -> None:
    limit(store, "global", maximum=1)
    submit(store)
    submit(store)
    [first] = take(store)
    assert held(store, 2) == {"global"}
    second = follow(store, first)
    assert second
    assert second.run == 2


def test_labels_count(store: Store) -> None:
    submit(store)
    submit(store, GPU)
    [first] = take(store, 1)
    assert follow(store, first) is None
    [left] = take(store, labels=("self-hosted", "gpu"))
    assert left.run == 2


def test_who_lost_the_lease_gets_no_other(store: Store) -> None:
    submit(store)
    submit(store)
    [first] = take(store, 1)
    with pytest.raises(LeaseLostError):
        follow(store, replace(first, token="other/1"))
    assert [each.run for each in take(store)] == [2]


def test_a_thread_goes_on_with_what_follows(store: Store) -> None:
    for _ in range(3):
        submit(store)
    [first] = take(store, 1)
    done: list[int] = []

    def work(lease: Lease, wish: Wish) -> Lease | None:
        assert hands.jobs() == {(lease.run, lease.key)}
        assert not wish.stop
        done.append(lease.run)
        following = follow(store, lease)
        if following:
            hands.follow(lease, following)
        return following

    hands = Hands(store, "w", work, lambda: None)
    hands.take(first)
    while hands.jobs():
        hands.beat()
    assert done == [1, 2, 3]
