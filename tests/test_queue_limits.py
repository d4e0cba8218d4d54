"""Limits: how many runs may be running and start in a day, who waits for that, and whose turn it is."""

import itertools
import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.queue import JobOutcome
from runner.store import Store, limits
from tests.queued import (
    DAY,
    NOON,
    counts_are_right,
    end,
    ends,
    entry,
    gone,
    held,
    limit,
    register,
    runs_of,
    submit,
    take,
    work_off,
)
from tests.test_queue import FAILURE, NEVER, pipeline

BIG = pipeline(build={"runs-on": ["self-hosted", "big"]})
TWO = pipeline(one={}, two={})
RETRIED = JobOutcome("failure", retry_after=5.0)
#: What a run of `submit` counts in.
SCOPES = [
    ("global", ""),
    ("project", "/p"),
    ("pipeline", "/p/ci.yaml"),
    ("queue", "default"),
    ("owner", "al"),
]
#: What makes another run count elsewhere.
OTHERS: dict[str, dict[str, Any]] = {
    "project": {"project": "/q"},
    "pipeline": {"file": "cd.yaml"},
    "queue": {"queue": "slow"},
    "owner": {"owner": "bo"},
}


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


# -- how many at once --


@pytest.mark.parametrize(("kind", "name"), SCOPES)
def test_no_more_run_than_are_allowed(store: Store, kind: str, name: str) -> None:
    limit(store, kind, name, maximum=2)
    first, second, third, fourth = (submit(store) for _ in range(4))
    running = take(store)
    assert runs_of(running) == [first, second]
    scope = f"{kind}:{name}" if name else kind
    assert [held(store, run) for run in (third, fourth)] == [{scope}, {scope}]
    end(store, running[:1])
    assert held(store, third) == set()
    assert runs_of(take(store)) == [third]
    assert take(store) == []
    assert counts_are_right(store)


@pytest.mark.parametrize(("kind", "name"), SCOPES[1:])
def test_a_limit_is_no_matter_to_others(store: Store, kind: str, name: str) -> None:
    limit(store, kind, name, maximum=1)
    mine = [submit(store) for _ in range(2)]
    other = submit(store, **OTHERS[kind])
    assert sorted(runs_of(take(store))) == [mine[0], other]
    assert held(store, other) == set()


def test_a_run_counts_once_however_many_jobs_it_has_and_until_its_end(store: Store) -> None:
    limit(store, "global", maximum=1)
    first, second = submit(store, TWO), submit(store, TWO)
    running = take(store)
    assert [(lease.run, lease.key) for lease in running] == [(first, "one"), (first, "two")]
    end(store, running[:1])
    assert take(store) == []
    end(store, running[1:])
    assert runs_of(take(store)) == [second, second]
    assert counts_are_right(store)


def test_a_run_that_waits_for_another_attempt_keeps_its_place(store: Store) -> None:
    limit(store, "global", maximum=1)
    first, second = submit(store), submit(store)
    end(store, take(store), RETRIED)
    assert take(store, now=NOON + 1) == []
    assert runs_of(take(store, now=NOON + 5)) == [first]
    assert held(store, second) == {"global"}


@pytest.mark.parametrize(
    "outcome", [FAILURE, JobOutcome("cancelled")], ids=["failure", "cancelled"]
)
def test_every_end_frees_a_place(store: Store, outcome: JobOutcome) -> None:
    limit(store, "global", maximum=1)
    for _ in range(3):
        submit(store)
    for _ in range(3):
        [lease] = take(store)
        end(store, [lease], outcome)
    assert counts_are_right(store)


def test_a_run_that_is_cancelled_while_it_waits_takes_no_place(store: Store) -> None:
    limit(store, "global", maximum=1)
    _, second, third = (submit(store) for _ in range(3))
    running = take(store)
    queue.cancel(store, second, NOON)
    assert ends(store)[second] == ("cancelled", "")
    end(store, running)
    assert runs_of(take(store)) == [third]
    assert counts_are_right(store)


@pytest.mark.parametrize("how", ["cancelled", "expired", "unparseable"])
def test_who_ends_before_it_takes_the_place_kept_for_it_leaves_that_to_the_next(
    store: Store, how: str
) -> None:
    limit(store, "global", maximum=1)
    submit(store)
    second = submit(store, patience=50.0)
    third = submit(store)
    end(store, take(store))
    # Now there is room for one: the second has been let go on, and does not.
    if how == "cancelled":
        queue.cancel(store, second, NOON)
    elif how == "expired":
        queue.tend(store, NOON + 60)
    else:
        queue.abandon(store, second, "damaged", NOON)
    assert runs_of(take(store, now=NOON + 60)) == [third]
    assert counts_are_right(store)


def test_a_run_of_which_nothing_runs_takes_no_place(store: Store) -> None:
    limit(store, "global", maximum=1, per_day=1)
    submit(store, NEVER)
    submit(store, NEVER, due_at=NOON + 1)
    queue.tend(store, NOON + 2)
    assert {result for result, _ in ends(store).values()} == {"success"}
    limit(store, "global", maximum=1, per_day=1)
    last = submit(store)
    assert runs_of(take(store)) == [last]
    assert counts_are_right(store)


def test_runs_of_a_process_are_not_limited_and_do_not_count(store: Store) -> None:
    limit(store, "global", maximum=1)
    mine = submit(store, process=queue.process_identity())
    queued = submit(store)
    assert runs_of(queue.lease(store, "me", run=mine, now=NOON)) == [mine]
    assert runs_of(take(store)) == [queued]
    assert counts_are_right(store)


def test_a_run_that_loses_its_worker_keeps_its_place(store: Store) -> None:
    limit(store, "global", maximum=1)
    first, second = submit(store), submit(store)
    register(store, "w", process=gone())
    take(store)
    queue.tend(store, NOON + 1)
    assert runs_of(take(store)) == [first]
    assert held(store, second) == {"global"}
    assert counts_are_right(store)


# -- several limits --


def test_a_run_over_two_limits_waits_until_both_have_room(store: Store) -> None:
    limit(store, "queue", "default", maximum=1)
    limit(store, "owner", "al", maximum=1)
    of_bo = submit(store, owner="bo")
    elsewhere = submit(store, queue="slow")
    running = {lease.run: lease for lease in take(store)}
    assert running.keys() == {of_bo, elsewhere}
    over_both = submit(store)
    assert take(store) == []
    end(store, [running[of_bo]])
    assert take(store) == []
    end(store, [running[elsewhere]])
    assert runs_of(take(store)) == [over_both]
    assert counts_are_right(store)


def test_a_place_that_its_run_cannot_take_elsewhere_is_given_to_the_next(store: Store) -> None:
    """`both` is let go on for the queue's place, finds its owner's taken, and must pass it on."""
    limit(store, "queue", "slow", maximum=1)
    limit(store, "owner", "al", maximum=1)
    in_queue = submit(store, queue="slow", owner="bo")
    [running] = take(store)
    both = submit(store, queue="slow")
    other = submit(store, queue="slow", owner="cy")
    assert take(store) == []
    assert (held(store, both), held(store, other)) == ({"queue:slow"}, {"queue:slow"})
    of_al = submit(store)
    [als] = take(store)
    assert (running.run, als.run) == (in_queue, of_al)
    end(store, [running])
    assert runs_of(take(store)) == [other]
    end(store, [als])
    assert take(store) == []
    limit(store, "queue", "slow", maximum=2)
    assert runs_of(take(store)) == [both]
    assert counts_are_right(store)


def test_many_runs_and_limits_come_to_an_end(store: Store) -> None:
    limit(store, "global", maximum=3)
    limit(store, "queue", "slow", maximum=1)
    limit(store, "owner", "al", maximum=2)
    kinds = itertools.product(("default", "slow"), ("al", "bo"), range(6))
    runs = [submit(store, queue=name, owner=owner) for name, owner, _ in kinds]
    assert sorted(work_off(store)) == runs
    assert counts_are_right(store)


def test_who_is_let_go_on_while_others_are_leased_is_announced(store: Store) -> None:
    """`both` takes no place in the queue `slow`, so `big` may, which only others can run."""
    limit(store, "queue", "slow", maximum=1)
    submit(store, queue="slow", owner="bo")
    running = take(store)
    both = submit(store, queue="slow")
    big = submit(store, BIG, queue="slow", owner="cy")
    assert take(store, labels=["big", "self-hosted"]) == []
    limit(store, "owner", "al", maximum=0)
    end(store, running)
    with closing(store.listener()) as listener:
        assert (take(store), held(store, both)) == ([], {"owner:al"})
        assert select.select([listener], [], [], 0)[0] == [listener]
        assert runs_of(take(store, labels=["big", "self-hosted"])) == [big]


def test_more_runs_than_are_put_aside_at_once(store: Store) -> None:
    limit(store, "queue", "slow", maximum=1)
    queue.enqueue_all(store, [entry(queue="slow") for _ in range(450)], NOON)
    last = submit(store)
    assert runs_of(take(store, 1)) == [1]
    assert runs_of(take(store)) == [last]
    assert take(store) == []


# -- by the day --


def test_so_many_a_day(store: Store) -> None:
    limit(store, "owner", "al", per_day=2)
    runs = [submit(store) for _ in range(5)]
    assert work_off(store) == runs[:2]
    queue.reconcile(store, NOON + 60)
    assert take(store, now=NOON + 60) == []
    # The day is UTC's.
    assert queue.reconcile(store, NOON + DAY / 2) == []
    assert work_off(store, now=NOON + DAY / 2) == runs[2:4]
    queue.reconcile(store, NOON + DAY)
    assert take(store, now=NOON + DAY) == []
    queue.reconcile(store, NOON + DAY * 1.5)
    assert work_off(store, now=NOON + DAY * 1.5) == runs[4:]


def test_a_new_run_after_midnight_needs_no_reconciling(store: Store) -> None:
    limit(store, "global", per_day=1)
    submit(store)
    assert len(work_off(store)) == 1
    tomorrow = submit(store, now=NOON + DAY)
    assert runs_of(take(store, now=NOON + DAY)) == [tomorrow]


def test_a_limit_by_the_day_that_is_set_at_noon_counts_the_morning(store: Store) -> None:
    submit(store, now=NOON - DAY)
    work_off(store, now=NOON - DAY)
    submit(store, now=NOON - 60)
    work_off(store, now=NOON - 60)
    limit(store, "global", per_day=2)
    runs = [submit(store) for _ in range(2)]
    assert work_off(store) == runs[:1]


# -- changed at run time --


def test_a_limit_that_is_raised_lets_others_go_on(store: Store) -> None:
    limit(store, "global", maximum=1)
    runs = [submit(store) for _ in range(4)]
    assert runs_of(take(store)) == runs[:1]
    limit(store, "global", maximum=3)
    assert runs_of(take(store)) == runs[1:3]
    assert counts_are_right(store)


def test_a_limit_that_is_lowered_stops_nobody_and_is_kept_from_then_on(store: Store) -> None:
    runs = [submit(store) for _ in range(5)]
    running = take(store, 3)
    limit(store, "global", maximum=1)
    assert take(store) == []
    end(store, running[:2])
    assert take(store) == []
    end(store, running[2:])
    assert runs_of(take(store)) == [runs[3]]
    assert counts_are_right(store)


def test_a_limit_that_is_taken_away_lets_all_go_on(store: Store) -> None:
    limit(store, "global", maximum=1)
    runs = [submit(store) for _ in range(4)]
    running = take(store)
    limit(store, "global")
    assert runs_of(take(store)) == runs[1:]
    end(store, running)
    assert "global" not in {str(scope) for scope in limits.all_scopes(store.notes)}
    assert counts_are_right(store)


def test_what_is_paused_starts_nothing_and_goes_on_later(store: Store) -> None:
    first = submit(store, TWO)
    [one] = take(store, 1)
    limit(store, "queue", "default", paused=True)
    second = submit(store)
    assert runs_of(take(store)) == [first]
    end(store, [one])
    assert (take(store), held(store, second)) == ([], {"queue:default"})
    limit(store, "queue", "default")
    assert runs_of(take(store)) == [second]


def test_zero_is_a_limit(store: Store) -> None:
    limit(store, "global", maximum=0)
    run = submit(store)
    assert (take(store), held(store, run)) == ([], {"global"})


def test_the_queue_of_deployments_has_a_limit_from_the_start(store: Store) -> None:
    runs = [submit(store, queue="deployments") for _ in range(7)]
    assert runs_of(take(store)) == runs[:5]


def test_a_wrong_count_is_found_and_corrected(store: Store) -> None:
    limit(store, "global", maximum=2)
    runs = [submit(store) for _ in range(4)]
    take(store, 1)
    with store.notes.writing() as database:
        database.execute("UPDATE scope SET running = 2 WHERE kind = 'global'")
    assert take(store) == []
    [(scope, by)] = queue.reconcile(store, NOON)
    assert (str(scope), by) == ("global", 1)
    assert runs_of(take(store)) == runs[1:2]
    assert counts_are_right(store)


# -- whose turn it is --


def test_owners_take_turns_however_many_runs_they_have(store: Store) -> None:
    of_al = [submit(store) for _ in range(6)]
    of_bo = [submit(store, owner="bo") for _ in range(2)]
    order = work_off(store, most=1)
    assert order == [of_al[0], of_bo[0], of_al[1], of_bo[1], *of_al[2:]]


def test_turns_hold_within_one_lease_too(store: Store) -> None:
    of_al = [submit(store) for _ in range(3)]
    of_bo = [submit(store, owner="bo") for _ in range(3)]
    assert runs_of(take(store)) == [run for pair in zip(of_al, of_bo, strict=True) for run in pair]


def test_who_comes_later_does_not_catch_up(store: Store) -> None:
    of_al = [submit(store) for _ in range(4)]
    of_bo = [submit(store, owner="bo") for _ in range(4)]
    assert len(take(store, 4)) == 4
    of_cy = [submit(store, owner="cy") for _ in range(4)]
    order = [of_al[2], of_bo[2], of_cy[0], of_al[3], of_bo[3], *of_cy[1:]]
    assert runs_of(take(store)) == order


def test_turns_under_a_limit(store: Store) -> None:
    limit(store, "global", maximum=1)
    of_al = [submit(store) for _ in range(3)]
    of_bo = [submit(store, owner="bo") for _ in range(3)]
    order = work_off(store)
    assert sorted(order) == sorted(of_al + of_bo)
    assert [run for run in order if run in of_al] == of_al
    assert [run for run in order if run in of_bo] == of_bo
    # Nobody has two more than another before that one is done.
    shares = [sum(run in of_al for run in order[:n]) for n in range(5)]
    assert all(abs(2 * share - n) <= 2 for n, share in enumerate(shares))


# -- who comes first --


def test_priority_comes_first_and_equals_in_the_order_of_arrival(store: Store) -> None:
    low = [submit(store) for _ in range(2)]
    high = [submit(store, priority=50) for _ in range(2)]
    assert work_off(store, most=1) == high + low


@pytest.mark.parametrize(
    ("priority", "age", "first"), [(1, 35, "new"), (1, 37, "old"), (100, 3601, "old")]
)
def test_who_waits_long_enough_comes_before_any_priority(
    store: Store, priority: int, age: float, first: str
) -> None:
    old = submit(store, now=NOON - age)
    new = submit(store, priority=priority)
    assert runs_of(take(store, 1)) == [old if first == "old" else new]


def test_a_delayed_run_counts_from_when_it_enters(store: Store) -> None:
    delayed = submit(store, now=NOON - 1000, due_at=NOON)
    before = submit(store, now=NOON - 1)
    after = submit(store, now=NOON + 1)
    queue.tend(store, NOON + 2)
    assert work_off(store, now=NOON + 2, most=1) == [before, delayed, after]


def test_a_run_goes_on_before_another_one_starts(store: Store) -> None:
    chain = pipeline(build={}, test={"needs": "build"})
    first, second = submit(store, chain, now=NOON - 2), submit(store, chain, now=NOON - 1)
    assert work_off(store, most=1) == [first, first, second, second]


# -- who may --


def test_a_job_goes_to_a_worker_with_all_its_labels(store: Store) -> None:
    big, any_ = submit(store, BIG), submit(store)
    assert runs_of(take(store, labels=["self-hosted"])) == [any_]
    assert take(store, labels=["big"]) == []
    assert runs_of(take(store, labels=["big", "self-hosted", "more"])) == [big]


def test_only_jobs_that_need_a_label(store: Store) -> None:
    big, any_ = submit(store, BIG), submit(store)
    labels = ["big", "self-hosted"]
    assert runs_of(take(store, labels=labels, only="self-hosted")) == [big]
    assert runs_of(take(store, labels=labels)) == [any_]


def test_a_job_that_nobody_can_run_is_in_nobodys_way(store: Store) -> None:
    limit(store, "global", maximum=1)
    big, any_ = submit(store, BIG), submit(store)
    assert runs_of(take(store)) == [any_]
    assert held(store, big) == set()


def test_a_place_that_is_kept_for_a_job_nobody_can_run_is_freed_in_time(store: Store) -> None:
    limit(store, "global", maximum=1)
    submit(store)
    running = take(store)
    big = submit(store, BIG)
    assert take(store, labels=["big", "self-hosted"]) == []
    any_ = submit(store)
    assert take(store) == []
    assert (held(store, big), held(store, any_)) == ({"global"}, {"global"})
    end(store, running)
    queue.reconcile(store, NOON)
    assert runs_of(take(store)) == [any_]


def test_owners_who_are_always_new_do_not_keep_others_waiting(store: Store) -> None:
    submit(store, owner="known")
    take(store, 1)
    known = submit(store, owner="known")
    for number in range(5):
        submit(store, owner=f"new-{number}")
    leased = [take(store, 1)[0].run for _ in range(3)]
    assert known in leased
