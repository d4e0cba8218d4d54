"""What goes on after something went wrong: workers that are gone, runs that cannot be read, dead letters."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner import queue
from runner.events import JobFinished, RunFinished
from runner.queue import JobOutcome, LeaseLostError
from runner.store import Store, dead, due, lines, workers
from tests.queued import (
    NOON,
    counts_are_right,
    elsewhere,
    end,
    ends,
    gone,
    limit,
    register,
    submit,
    take,
    work_off,
)
from tests.test_queue import FAILURE, ONE, SUCCESS, pipeline, recorded, states

CHAIN = pipeline(build={}, test={"needs": "build"})
GROUP = json.dumps({**json.loads(ONE), "concurrency": {"group": "g", "queue": "max"}})
SINGLE = json.dumps({**json.loads(ONE), "concurrency": "g"})


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def letters(store: Store) -> list[tuple[int, str, str]]:
    return [(letter.run, letter.kind, letter.job) for letter in dead.letters(store.notes)]


# -- workers that are gone --


def test_a_dead_worker_of_this_machine_is_noticed_at_once(store: Store) -> None:
    run = submit(store, CHAIN)
    register(store, "w", process=gone())
    [first] = take(store)
    assert queue.tend(store, NOON).lost == ((run, "build"),)
    assert workers.all_workers(store.notes) == []
    [second] = take(store, worker="v")
    assert (second.attempt, second.losses, second.tries) == (2, 1, 1)
    with pytest.raises(LeaseLostError):
        queue.finish(store, first, SUCCESS, NOON)
    assert not queue.renew(store, first, NOON)
    end(store, [second])
    assert recorded(store, run)[:4] == ["queued build", "started", "failure build", "queued build"]


def test_a_live_worker_of_this_machine_keeps_its_jobs_however_late_it_is(store: Store) -> None:
    submit(store)
    register(store, "w")
    [held] = take(store)
    assert queue.tend(store, NOON + 10_000).lost == ()
    end(store, [held], now=NOON + 10_001)
    assert ends(store)[1] == ("success", "")


def test_a_silent_worker_of_another_machine_is_gone_when_its_lease_is_over(store: Store) -> None:
    run = submit(store)
    register(store, "w", process=elsewhere())
    take(store)
    assert queue.tend(store, NOON + queue.LEASE_SECONDS).lost == ()
    assert queue.tend(store, NOON + queue.LEASE_SECONDS + 1).lost == ((run, "build"),)


def test_a_worker_of_another_machine_that_shows_itself_is_alive(store: Store) -> None:
    submit(store)
    register(store, "w", process=elsewhere())
    take(store)
    assert workers.seen(store.notes, "w", "working", NOON + 20)
    assert queue.tend(store, NOON + 40).lost == ()


def test_a_lease_of_nobody_ends_in_time(store: Store) -> None:
    run = submit(store)
    take(store, worker="never registered")
    assert queue.tend(store, NOON + 29).lost == ()
    assert queue.tend(store, NOON + 31).lost == ((run, "build"),)


def test_a_job_that_outlives_no_worker_is_given_up(store: Store) -> None:
    run = submit(store, CHAIN)
    for number in range(3):
        name = f"w{number}"
        register(store, name, process=gone())
        [lease] = take(store, worker=name)
        assert lease.losses == number
        queue.tend(store, NOON + number)
    assert take(store) == []
    assert ends(store)[run][0] == "failure"
    assert states(store, run) == {"build": "failure", "test": "skipped"}
    assert letters(store) == [(run, "poison", "build")]
    final = [e for _, e in store.events(run) if isinstance(e, JobFinished) and e.job == "build"]
    assert [(event.reason, event.final) for event in final] == [
        *[("lost", False)] * 2,
        ("poison", True),
    ]


def test_a_lost_job_that_was_cancelled_is_not_done_again(store: Store) -> None:
    run = submit(store)
    register(store, "w", process=gone())
    take(store)
    queue.cancel(store, run, NOON)
    queue.tend(store, NOON)
    assert take(store) == []
    assert ends(store)[run] == ("cancelled", "")


def test_losses_count_apart_from_failures(store: Store) -> None:
    submit(store)
    end(store, take(store), JobOutcome("failure", retry_after=0.0))
    register(store, "w", process=gone())
    take(store)
    queue.tend(store, NOON)
    [third] = take(store, worker="v")
    assert (third.attempt, third.losses, third.tries) == (3, 1, 2)


def test_all_that_a_worker_had_goes_on(store: Store) -> None:
    runs = [submit(store) for _ in range(5)]
    register(store, "w", process=gone())
    take(store)
    assert sorted(run for run, _ in queue.tend(store, NOON).lost) == runs
    assert work_off(store) == runs
    assert counts_are_right(store)


def test_a_run_whose_process_was_killed_is_in_nobodys_way(store: Store) -> None:
    """A `pipe run` that held the group; nobody but a worker of the queue looks after it."""
    holder = submit(store, GROUP, process=gone())
    waiting = submit(store, GROUP)
    queue.tend(store, NOON + 1)
    assert ends(store)[holder] == ("failure", "lost")
    assert work_off(store) == [waiting]


# -- given back --


def test_a_job_that_is_given_back_is_done_later_and_has_not_failed(store: Store) -> None:
    run = submit(store)
    [first] = take(store)
    queue.give_back(store, first, NOON)
    assert take(store, now=NOON + 1) == []
    [second] = take(store, now=NOON + 2)
    assert (second.attempt, second.returns, second.losses, second.tries) == (2, 1, 0, 1)
    end(store, [second])
    assert ends(store)[run] == ("success", "")
    assert letters(store) == []
    assert counts_are_right(store)


def test_what_is_not_held_cannot_be_given_back(store: Store) -> None:
    submit(store)
    register(store, "w", process=gone())
    [first] = take(store)
    queue.tend(store, NOON)
    [second] = take(store, worker="v")
    assert queue.give_back(store, first, NOON) == []
    end(store, [second])


# -- a job that is due --


def test_a_job_that_is_due_is_runnable_whether_or_not_somebody_has_room(store: Store) -> None:
    submit(store)
    end(store, take(store), JobOutcome("failure", retry_after=10.0))
    assert queue.next_time(store) == NOON + 10
    queue.tend(store, NOON + 11)
    assert queue.next_time(store) is None
    assert states(store) == {"build": "queued"}


# -- runs that cannot be read --


def damage_plan(store: Store, run: int) -> None:
    with store.notes.writing() as database:
        values = {"run": run, "plan": '{"jobs": ['}
        database.execute('UPDATE submission SET "plan" = :plan WHERE run = :run', values)


def damage_text(store: Store, run: int) -> None:
    with store.notes.writing() as database:
        values = {"run": run, "text": "on: [push\njobs: {"}
        database.execute("UPDATE submission SET text = :text WHERE run = :run", values)


def empty_text(store: Store, run: int) -> None:
    with store.notes.writing() as database:
        database.execute("UPDATE submission SET text = 'on: push' WHERE run = :run", {"run": run})


Damage = Callable[[Store, int], None]
DAMAGES = pytest.mark.parametrize("damage", [damage_plan, damage_text, empty_text])


def work_off_bravely(store: Store) -> list[int]:
    """As a worker does: who cannot be read dies of it."""
    done = []
    # Those that it was given may all be dead, and make room for others thereby.
    while leases := take(store) or take(store):
        for lease in leases:
            try:
                queue.finish(store, lease, SUCCESS, NOON)
                done.append(lease.run)
            except queue.UnreadableRunError:
                pass
    return done


@DAMAGES
def test_others_go_on_beside_a_run_that_cannot_be_read(store: Store, damage: Damage) -> None:
    limit(store, "global", maximum=1)
    before, damaged, after = (submit(store, CHAIN) for _ in range(3))
    damage(store, damaged)
    assert work_off_bravely(store) == [before, before, after, after]
    assert ends(store)[damaged] == ("failure", "unparseable")
    assert letters(store) == [(damaged, "unparseable", "")]
    assert counts_are_right(store)


@DAMAGES
def test_a_line_goes_on_behind_a_run_that_cannot_be_read(store: Store, damage: Damage) -> None:
    runs = [submit(store, GROUP) for _ in range(4)]
    damage(store, runs[1])
    damage(store, runs[2])
    assert work_off_bravely(store) == [runs[0], runs[3]]
    assert [ends(store)[run] for run in runs] == [
        ("success", ""),
        *[("failure", "unparseable")] * 2,
        ("success", ""),
    ]
    assert lines.read(store.notes, ("/p", "G")) == ()


@DAMAGES
def test_a_newcomer_enters_whoever_stands_in_its_line(store: Store, damage: Damage) -> None:
    first, second = submit(store, SINGLE), submit(store, SINGLE)
    damage(store, second)
    third = submit(store, SINGLE)
    assert work_off_bravely(store) == [first, third]


@DAMAGES
@pytest.mark.parametrize(
    "act",
    [
        lambda store, run: queue.cancel(store, run, NOON),
        lambda store, run: queue.tend(store, NOON + 1000),
    ],
    ids=["cancelled", "tended"],
)
def test_whatever_is_done_to_a_run_that_cannot_be_read_ends_it(
    store: Store, damage: Damage, act: Callable[[Store, int], object]
) -> None:
    run = submit(store, CHAIN, time_limit=10.0)
    register(store, "w", process=gone())
    [lease] = take(store)
    damage(store, run)
    act(store, run)
    act(store, run)
    assert ends(store)[run][0] in ("failure", "cancelled")
    finished = [event for _, event in store.events(run) if isinstance(event, RunFinished)]
    assert len(finished) == 1
    with pytest.raises((LeaseLostError, queue.UnreadableRunError)):
        queue.finish(store, lease, SUCCESS, NOON)
    assert take(store) == []
    assert counts_are_right(store)


@DAMAGES
def test_a_delayed_run_that_cannot_be_read_when_it_is_due(store: Store, damage: Damage) -> None:
    run = submit(store, GROUP, due_at=NOON + 10)
    damage(store, run)
    queue.tend(store, NOON + 10)
    queue.tend(store, NOON + 11)
    assert ends(store)[run] == ("failure", "unparseable")
    assert queue.next_time(store) is None


@DAMAGES
def test_others_go_on_beside_a_run_of_a_process_that_cannot_be_read(
    store: Store, damage: Damage
) -> None:
    first = submit(store, GROUP)
    behind = submit(store, GROUP, process=queue.process_identity())
    late = submit(store, process=queue.process_identity(), time_limit=10.0)
    queue.lease(store, "theirs", run=late, now=NOON)
    damage(store, behind)
    damage(store, late)
    assert work_off(store) == [first]
    queue.tend(store, NOON + 10)
    assert [ends(store)[run][0] for run in (first, behind)] == ["success", "failure"]
    assert late not in due.runs_overrun(store.notes, NOON + 10)


def test_a_run_of_a_process_that_cannot_be_read_counts_nowhere(store: Store) -> None:
    limit(store, "global", maximum=1)
    run = submit(store, GROUP, process=gone())
    waiting = submit(store, GROUP)
    damage_plan(store, run)
    queue.tend(store, NOON + 1)
    assert ends(store)[run] == ("failure", "unparseable")
    assert letters(store) == []
    assert counts_are_right(store)
    assert work_off(store) == [waiting]


# -- dead letters --


def test_a_run_that_fails_becomes_a_dead_letter_with_its_first_error(store: Store) -> None:
    run = submit(store, pipeline(build={}, test={"needs": "build", "if": "always()"}))
    end(store, take(store), JobOutcome("failure", reason="out-of-memory"))
    assert letters(store) == []
    end(store, take(store), FAILURE, NOON + 1)
    [letter] = dead.letters(store.notes)
    assert (letter.run, letter.kind, letter.job, letter.died_at) == (
        run,
        "failed",
        "build",
        NOON + 1,
    )
    assert letter.error == "build: out-of-memory"
    assert (letter.owner, letter.queue, letter.file) == ("al", "default", "ci.yaml")


def test_only_what_was_submitted_and_failed_is_a_dead_letter(store: Store) -> None:
    mine = submit(store, process=queue.process_identity())
    end(store, queue.lease(store, "me", run=mine, now=NOON), FAILURE)
    submit(store)
    end(store, take(store), SUCCESS)
    cancelled = submit(store)
    queue.cancel(store, cancelled, NOON)
    softly = submit(store, pipeline(build={"continue-on-error": True}))
    end(store, take(store), JobOutcome("failure", failed_softly=True))
    assert ends(store)[softly] == ("success", "")
    assert letters(store) == []


def test_the_kinds_of_dead_letters_that_time_makes(store: Store) -> None:
    expired = submit(store, patience=10.0)
    queue.tend(store, NOON + 10)
    overrun = submit(store, time_limit=10.0)
    [lease] = take(store)
    queue.tend(store, NOON + 10)
    queue.finish(store, lease, JobOutcome("cancelled"), NOON + 11)
    assert letters(store) == [(expired, "expired", "build"), (overrun, "timeout", "")]


def test_a_letter_is_purged_once(store: Store) -> None:
    run = submit(store)
    end(store, take(store), FAILURE)
    assert (dead.purge(store.notes, run), dead.purge(store.notes, run)) == ({}, None)
    assert (letters(store), ends(store)[run]) == ([], ("failure", ""))


# -- whether anything is left --


def test_what_keeps_a_worker_that_drains(store: Store) -> None:
    limit(store, "global", maximum=1)
    submit(store, CHAIN)
    submit(store)
    assert queue.is_open(store, [], NOON)
    [build] = take(store, worker="another")
    assert queue.is_open(store, [], NOON)
    end(store, [build], JobOutcome("failure", retry_after=5.0))
    assert queue.is_open(store, [], NOON)
    queue.tend(store, NOON + 5)
    work_off(store, NOON + 5)
    assert not queue.is_open(store, [], NOON)


def test_a_worker_that_drains_does_not_wait_for_what_it_cannot_do(store: Store) -> None:
    submit(store, pipeline(build={"runs-on": ["self-hosted", "big"]}))
    assert not queue.is_open(store, ["self-hosted"], NOON)
    assert queue.is_open(store, ["self-hosted", "big"], NOON)
    assert queue.is_open(store, ["self-hosted", "big"], NOON, "self-hosted")
    limit(store, "global", paused=True)
    take(store, labels=["self-hosted", "big"])
    assert not queue.is_open(store, ["self-hosted", "big"], NOON)


def test_a_worker_that_drains_waits_only_for_attempts_that_it_can_do(store: Store) -> None:
    submit(store, pipeline(build={"runs-on": ["self-hosted", "big"]}))
    labels = ["self-hosted", "big"]
    end(store, take(store, labels=labels), JobOutcome("failure", retry_after=3600.0))
    assert not queue.is_open(store, ["self-hosted"], NOON)
    assert queue.is_open(store, labels, NOON)


def test_whose_turn_came_unseen_goes_on_when_all_is_counted(store: Store) -> None:
    first, second = submit(store, GROUP), submit(store, GROUP)
    # As when the process that buried the first was killed before it saw to the second.
    dead.bury(store.promises, first, "unparseable", "damaged", NOON)
    assert take(store) == []
    queue.reconcile(store, NOON)
    assert [lease.run for lease in take(store)] == [second]
