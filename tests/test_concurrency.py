"""Concurrency groups: what is asked for, who holds, waits and is sent away, and why it says so."""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import queue
from runner.concurrency import Claim, evaluated
from runner.errors import InvalidInputError
from runner.events import Event, JobFinished, Note, RunFinished
from runner.model import Concurrency
from runner.plan import asker_of, plan
from runner.queue import JobOutcome, Lease, Submission
from runner.store import Store, hot, lines
from runner.store.rows import StoredRun
from runner.store.sqlite import SqliteConnection
from tests.conftest import RunPipe
from tests.leftovers import wait_until
from tests.test_worker import Bench

GITHUB = {"ref": "main", "head_ref": ""}
CONTEXTS: Mapping[str, Any] = {"github": GITHUB, "inputs": {"now": True, "text": "x"}, "vars": {}}
GONE = queue.process_identity().replace(f"{os.getpid()}:", "999999999:", 1)
MAX = {"group": "g", "queue": "max"}
CANCEL = {"group": "g", "cancel-in-progress": True}


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def bench(tmp_path: Path, database_url: str) -> Iterator[Bench]:
    with Store.open(tmp_path, database_url) as opened:
        yield Bench(tmp_path, opened)


def job(**keys: Any) -> dict[str, Any]:
    return {"runs-on": "here", "steps": [{"run": "make"}], **keys}


def submit(
    store: Store,
    concurrency: Any = None,
    jobs: Mapping[str, Any] | None = None,
    **changes: Any,
) -> int:
    """A run in that group; by default of one job."""
    top = {} if concurrency is None else {"concurrency": concurrency}
    text = json.dumps({"on": "push", **top, "jobs": jobs or {"a": job()}})
    values = {"file": "ci.yaml", "project": "/project", "name": "CI", "contexts": CONTEXTS}
    submission = Submission(**{**values, "text": text, **changes})
    first = plan(queue.load_pipeline(submission.file, text), submission.contexts)
    return queue.enqueue(store, submission, first, 1.0)


def in_group(store: Store, concurrency: Any, **keys: Any) -> int:
    """A run whose only job is in that group."""
    return submit(store, jobs={"a": job(concurrency=concurrency, **keys)})


def load(store: Store, run: int) -> StoredRun:
    return hot.load_run(store.notes, run)


def states(store: Store, run: int) -> dict[str, str]:
    """How far each job is: its result, or else its state."""
    return {key: each.result or each.state for key, each in load(store, run).jobs.items()}


def of(store: Store, *runs: int) -> list[str]:
    """How far the runs are: of each its result, or else the state of its first job."""
    return [load(store, run).result or next(iter(states(store, run).values())) for run in runs]


def leased(store: Store, run: int) -> Lease:
    [found] = queue.lease(store, "me", run=run, now=2.0)
    return found


def finish(
    store: Store, run: int, result: Any = "success", retry_after: float | None = None
) -> list[Event]:
    """Runs the next job of the run."""
    outcome = JobOutcome(result, retry_after=retry_after)
    return queue.finish(store, leased(store, run), outcome, 3.0)


def line(store: Store, name: str = "G", project: str = "/project") -> list[tuple[int, str]]:
    """Who stands in line for a group."""
    return [(place.run, place.job) for place in lines.read(store.notes, (project, name))]


def explanations(store: Store) -> dict[tuple[int, str], str]:
    return {(wait.run, wait.job): str(wait) for wait in lines.waits(store.notes)}


# -- what is asked for --


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (Concurrency("deploy"), Claim("deploy")),
        (Concurrency("on-${{ github.ref }}"), Claim("on-main")),
        (Concurrency("${{ 7 }}"), Claim("7")),
        (Concurrency("${{ github.head_ref || github.ref }}"), Claim("main")),
        (Concurrency("g", True), Claim("g", cancels_running=True)),
        (Concurrency("g", "${{ inputs.now }}"), Claim("g", cancels_running=True)),
        (Concurrency("g", "${{ !inputs.now }}", "max"), Claim("g", keeps_waiting=True)),
        (Concurrency("g", limit=3), Claim("g", limit=3)),
        (Concurrency("g", limit="${{ fromJSON('1000') }}"), Claim("g", limit=1000)),
    ],
)
def test_what_is_asked_for(written: Concurrency, expected: Claim) -> None:
    assert evaluated(written, CONTEXTS) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (Concurrency("${{ github.head_ref }}"), "the name of the group is empty"),
        (Concurrency("${{ github }}"), "must be text"),
        (Concurrency("${{ fromJSON('[]') }}"), "must be text"),
        (Concurrency("${{ fromJSON('no') }}"), "fromJSON"),
        (Concurrency("g", "${{ inputs.text }}"), "must be true or false"),
        (Concurrency("g", "${{ inputs.now }}", "max"), "cannot be true with `queue: max`"),
        *(
            (Concurrency("g", limit=f"${{{{ {value} }}}}"), "`limit` must be a whole number from 1")
            for value in ("'3'", "0", "1001", "2.5", "1e300", "-1", "true", "null", "github")
        ),
    ],
)
def test_what_cannot_be_asked_for(store: Store, written: Concurrency, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        evaluated(written, CONTEXTS)
    keys = {
        "cancel-in-progress": written.cancel_in_progress,
        "queue": written.queue,
        "limit": written.limit,
    }
    with pytest.raises(InvalidInputError, match=message) as caught:
        submit(store, {"group": written.group, **keys})
    assert caught.value.position is not None
    run = in_group(store, {"group": written.group, **keys})
    assert of(store, run) == ["failure"]
    assert message in load(store, run).jobs["a"].reason
    assert line(store) == []


# -- runs --


def test_the_next_run_starts_when_the_one_before_it_has_ended(store: Store) -> None:
    first, second = submit(store, "g"), submit(store, "g")
    assert of(store, first, second) == ["queued", "blocked"]
    assert queue.lease(store, "me", run=second, now=2.0) == []
    finish(store, first, "failure")
    assert of(store, first, second) == ["failure", "queued"]
    finish(store, second)
    assert (of(store, second), line(store)) == (["success"], [])


def test_a_newcomer_takes_the_place_of_who_waits(store: Store) -> None:
    runs = [submit(store, "g") for _ in range(4)]
    assert of(store, *runs) == ["queued", "cancelled", "cancelled", "blocked"]
    second = load(store, runs[1])
    assert second.reason == second.jobs["a"].reason == "run 3 came for group `g`"
    assert queue.cancelled(store, runs[1])
    finish(store, runs[0])
    assert of(store, *runs) == ["success", "cancelled", "cancelled", "queued"]


def test_all_wait_in_order_where_the_queue_is_long(store: Store) -> None:
    runs = [submit(store, MAX) for _ in range(5)]
    for at, run in enumerate(runs):
        assert of(store, *runs) == ["success"] * at + ["queued"] + ["blocked"] * (4 - at)
        finish(store, run)


def test_who_comes_decides_about_those_who_wait(store: Store) -> None:
    runs = [submit(store, MAX), submit(store, MAX), submit(store, "g"), submit(store, MAX)]
    assert of(store, *runs) == ["queued", "cancelled", "blocked", "blocked"]
    runs.append(submit(store, "g"))
    assert of(store, *runs) == ["queued", "cancelled", "cancelled", "cancelled", "blocked"]


def test_a_newcomer_may_end_who_runs(store: Store) -> None:
    jobs = {"a": job(), "cleanup": job(needs="a", **{"if": "always()"})}
    first = submit(store, "g", jobs)
    lease = leased(store, first)
    second = submit(store, CANCEL)
    assert queue.cancelled(store, first)
    assert queue.cancel_requests(store, "me") == [(first, "a")]
    assert queue.reason(store, first) == "run 2 came for group `g`"
    third = submit(store, CANCEL)
    assert of(store, first, second, third) == ["running", "cancelled", "blocked"]
    queue.finish(store, lease, JobOutcome("cancelled"), 3.0)
    assert states(store, first) == {"a": "cancelled", "cleanup": "queued"}
    assert of(store, third) == ["blocked"]
    finish(store, first)
    assert of(store, first, third) == ["cancelled", "queued"]
    assert load(store, first).reason == "run 2 came for group `g`"


def test_who_has_begun_nothing_makes_room_at_once(store: Store) -> None:
    first, second = submit(store, "g"), submit(store, CANCEL)
    assert of(store, first, second) == ["cancelled", "queued"]


@pytest.mark.parametrize(
    ("other", "is_free"),
    [
        ({"concurrency": "G"}, False),
        ({"concurrency": "${{ 'g' }}"}, False),
        ({"concurrency": "g", "file": "other.yaml"}, False),
        ({"concurrency": "g", "project": "/other"}, True),
        ({"concurrency": "h"}, True),
        ({"concurrency": "g-${{ github.run_id }}"}, True),
        ({}, True),
    ],
)
def test_which_groups_are_the_same(store: Store, other: dict[str, Any], is_free: bool) -> None:
    submit(store, "g")
    assert of(store, submit(store, **other)) == ["queued" if is_free else "blocked"]


def test_nothing_of_a_run_that_waits_starts_not_even_when_it_is_cancelled(store: Store) -> None:
    submit(store, "g")
    jobs = {"a": job(), "b": job(**{"if": "always()"}), "c": job(**{"if": "cancelled()"})}
    for end in (queue.cancel, lambda store, _, now: submit(store, "g")):
        run = submit(store, "g", jobs)
        assert set(states(store, run).values()) == {"blocked"}
        end(store, run, 2.0)
        assert set(states(store, run).values()) == {"cancelled"}
        assert of(store, run) == ["cancelled"]


def test_who_is_cancelled_leaves_the_line(store: Store) -> None:
    runs = [submit(store, MAX) for _ in range(4)]
    assert [type(event) for event in queue.cancel(store, runs[1], 2.0)] == [
        JobFinished,
        RunFinished,
    ]
    assert of(store, *runs) == ["queued", "cancelled", "blocked", "blocked"]
    queue.cancel(store, runs[0], 2.0)
    assert of(store, *runs) == ["cancelled", "cancelled", "queued", "blocked"]
    assert queue.cancel(store, runs[0], 2.0) == []


def test_a_run_without_work_frees_its_group_at_once(store: Store) -> None:
    assert of(store, submit(store, "g", {"a": job(**{"if": "false"})})) == ["success"]
    assert line(store) == []
    first = submit(store, "g")
    empty = submit(store, "g", {"a": job(**{"if": "false"})})
    last = submit(store, MAX)
    assert of(store, empty, last) == ["blocked", "blocked"]
    finish(store, first)
    assert of(store, empty, last) == ["success", "queued"]


def test_who_was_killed_frees_the_group_in_the_same_moment(store: Store) -> None:
    runs = [submit(store, MAX, process=owner) for owner in (GONE, GONE, "", GONE, "")]
    queue.rescue(store, 2.0, {runs[0]})
    assert of(store, *runs) == ["failure", "queued", "blocked", "blocked", "blocked"]
    queue.rescue(store, 2.0)
    assert of(store, *runs) == ["failure", "failure", "queued", "failure", "blocked"]
    assert load(store, runs[1]).reason == "lost"
    assert line(store) == [(runs[2], ""), (runs[4], "")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "act",
    [
        lambda store: submit(store, CANCEL),
        lambda store: finish(store, 1),
        lambda store: queue.cancel(store, 1, 2.0),
        lambda store: queue.rescue(store, 2.0),
    ],
    ids=["enqueue", "finish", "cancel", "rescue"],
)
def test_what_happens_together_is_written_together(
    store: Store, act: Callable[[Store], Any]
) -> None:
    submit(store, MAX, process=GONE)
    submit(store, MAX)
    begun: list[str] = []
    assert isinstance(store.promises, SqliteConnection)
    store.promises._sqlite.set_trace_callback(begun.append)
    act(store)
    store.promises._sqlite.set_trace_callback(None)
    written = [text for text in begun if text.split()[0] in ("BEGIN", "UPDATE", "INSERT")]
    assert written.count("BEGIN IMMEDIATE") == 1
    assert len({text.split()[1] for text in written}) > 2
    assert of(store, 1) != ["queued"]


@pytest.mark.parametrize("concurrency", ["g", MAX, CANCEL])
@pytest.mark.parametrize("enter", [submit, in_group])
def test_a_decision_about_a_line_that_changed_meanwhile_is_made_again(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    concurrency: Any,
    enter: Callable[[Store, Any], int],
) -> None:
    first = submit(store, MAX)
    lease = leased(store, first)
    save = hot.save

    def save_too_late(*arguments: Any) -> bool:
        monkeypatch.setattr(hot, "save", save)
        queue.finish(store, lease, JobOutcome("success"), 3.0)
        return save(*arguments)

    monkeypatch.setattr(hot, "save", save_too_late)
    second = enter(store, concurrency)
    assert of(store, first, second) == ["success", "queued"]


@pytest.mark.parametrize("enter", [submit, in_group])
def test_a_number_that_was_taken_meanwhile_is_no_place_in_line(
    store: Store, monkeypatch: pytest.MonkeyPatch, enter: Callable[[Store, Any], int]
) -> None:
    enter(store, "g")
    taken = enter(store, "g")
    next_numbers = hot.next_numbers

    def numbers_of_before(*_: Any) -> tuple[int, int]:
        monkeypatch.setattr(hot, "next_numbers", next_numbers)
        return taken, taken

    monkeypatch.setattr(hot, "next_numbers", numbers_of_before)
    assert of(store, 1, taken, enter(store, "g")) == ["queued", "cancelled", "blocked"]


def test_who_left_while_the_line_was_read_is_not_sent_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = submit(store, "g"), submit(store, "g")
    load_run = hot.load_run

    def load_late(*arguments: Any) -> StoredRun:
        monkeypatch.setattr(hot, "load_run", load_run)
        queue.cancel(store, second, 2.0)
        return load_run(*arguments)

    monkeypatch.setattr(hot, "load_run", load_late)
    assert of(store, first, second, submit(store, "g")) == ["queued", "cancelled", "blocked"]
    assert load(store, second).reason == ""


# -- jobs --


def test_a_job_waits_while_others_of_its_run_go_on(store: Store) -> None:
    first = in_group(store, "g")
    jobs = {"a": job(concurrency="g"), "b": job(), "c": job(needs="a"), "d": job(needs="b")}
    second = submit(store, jobs=jobs)
    assert list(states(store, second).values()) == ["blocked", "queued", "blocked", "blocked"]
    finish(store, second)
    assert list(states(store, second).values()) == ["blocked", "success", "blocked", "queued"]
    finish(store, first)
    assert list(states(store, second).values()) == ["queued", "success", "blocked", "queued"]
    finish(store, second)
    assert (states(store, second)["c"], line(store)) == ("queued", [])


def test_a_job_that_is_sent_away_is_cancelled_and_its_run_goes_on(store: Store) -> None:
    first = in_group(store, "g")
    cleanup = job(needs="a", **{"if": "always()"})
    second = submit(store, jobs={"a": job(concurrency="g"), "b": job(needs="a"), "c": cleanup})
    third = in_group(store, "g")
    assert states(store, second) == {"a": "cancelled", "b": "skipped", "c": "queued"}
    assert load(store, second).jobs["a"].reason == "run 3 (job `a`) came for group `g`"
    assert not queue.cancelled(store, second)
    finish(store, second)
    assert of(store, first, second, third) == ["queued", "cancelled", "blocked"]


def test_a_job_that_runs_is_asked_to_end_for_the_next(store: Store) -> None:
    jobs = {"a": job(concurrency="g"), "b": job()}
    first = submit(store, jobs=jobs)
    lease = leased(store, first)
    second = in_group(store, CANCEL)
    assert queue.cancel_requests(store, "me") == [(first, "a")]
    queue.finish(store, lease, JobOutcome("cancelled", retry_after=0.0), 3.0)
    ended = load(store, first).jobs["a"]
    assert (ended.result, ended.reason) == ("cancelled", "run 2 (job `a`) came for group `g`")
    assert states(store, first)["b"] == "queued"
    assert of(store, second) == ["queued"]


def test_runs_and_jobs_share_groups(store: Store) -> None:
    runs = [submit(store, MAX), in_group(store, MAX), submit(store, MAX), in_group(store, MAX)]
    for at, run in enumerate(runs):
        assert of(store, *runs) == ["success"] * at + ["queued"] + ["blocked"] * (3 - at)
        finish(store, run)


def test_a_job_does_not_wait_for_its_own_run(store: Store) -> None:
    run = submit(store, "g", {"a": job(concurrency="G"), "b": job(needs="a")})
    assert states(store, run) == {"a": "failure", "b": "skipped"}
    assert "would wait for ever" in load(store, run).jobs["a"].reason
    assert line(store) == []


@pytest.mark.parametrize(
    ("concurrency", "results"),
    [
        (MAX, ["success", "success", "success", "success"]),
        ("g", ["success", "cancelled", "cancelled", "success"]),
        (CANCEL, ["cancelled", "cancelled", "cancelled", "success"]),
        ({"group": "${{ matrix.n }}"}, ["success", "success", "success", "success"]),
    ],
)
def test_legs_of_a_matrix(store: Store, concurrency: Any, results: list[str]) -> None:
    matrix = {"matrix": {"n": [1, 2, 3, 4]}}
    run = in_group(store, concurrency, strategy=matrix)
    is_alone = "matrix" not in str(concurrency)
    while load(store, run).state != "finished":
        found = queue.lease(store, "me", run=run, limit=9, now=2.0)
        assert (len(found) == 1) == is_alone
        for lease in found:
            queue.finish(store, lease, JobOutcome("success"), 3.0)
    assert list(states(store, run).values()) == results


def test_a_leg_that_waits_counts_for_max_parallel(store: Store) -> None:
    in_group(store, "g")
    strategy = {"matrix": {"n": ["g", "h", "i"]}, "max-parallel": 2}
    run = in_group(store, "${{ matrix.n }}", strategy=strategy)
    assert list(states(store, run).values()) == ["blocked", "queued", "blocked"]


def test_the_group_of_a_job_may_depend_on_its_needs(store: Store) -> None:
    name = "${{ needs.a.outputs.to }}-${{ strategy.job-index }}-${{ github.run_id }}"
    jobs = {"a": job(), "b": job(needs="a", concurrency=name)}
    run = submit(store, jobs=jobs)
    assert lines.waits(store.notes) == []
    queue.finish(store, leased(store, run), JobOutcome("success", {"to": "prod"}), 3.0)
    assert line(store, "PROD-0-1") == [(run, "b")]


def test_a_job_that_is_tried_again_keeps_its_group(store: Store) -> None:
    first, second = in_group(store, "g"), in_group(store, "g")
    finish(store, first, "failure", retry_after=0.0)
    assert of(store, first, second) == ["queued", "blocked"]
    finish(store, first, "failure", retry_after=60.0)
    assert of(store, first, second) == ["scheduled", "blocked"]
    queue.cancel(store, first, 4.0)
    assert of(store, first, second) == ["cancelled", "queued"]


def test_jobs_of_a_run_that_waits_stand_in_no_line(store: Store) -> None:
    first = submit(store, "g")
    second = submit(store, "g", {"a": job(concurrency="h")})
    third = in_group(store, "h")
    assert (line(store, "H"), of(store, third)) == ([(third, "a")], ["queued"])
    finish(store, first)
    assert line(store, "H") == [(third, "a"), (second, "a")]
    finish(store, third)
    assert of(store, second) == ["queued"]


def test_a_job_that_does_not_run_joins_no_line(store: Store) -> None:
    in_group(store, "g")
    other = in_group(store, "g")
    run = in_group(store, "g", **{"if": "false"})
    assert of(store, other, run) == ["blocked", "success"]


# -- more than one at a time --


def upto(limit: int, **keys: Any) -> dict[str, Any]:
    return {"group": "g", "limit": limit, **({"queue": "max"} | keys)}


@pytest.mark.parametrize("enter", [submit, in_group])
def test_as_many_go_on_as_the_limit_says(store: Store, enter: Callable[..., int]) -> None:
    runs = [enter(store, upto(3)) for _ in range(7)]
    assert of(store, *runs) == ["queued"] * 3 + ["blocked"] * 4
    finish(store, runs[1])
    finish(store, runs[0])
    assert of(store, *runs) == ["success"] * 2 + ["queued"] * 3 + ["blocked"] * 2
    for run in runs[2:]:
        finish(store, run)
    assert (of(store, *runs), line(store)) == (["success"] * 7, [])


def test_a_limit_may_depend_on_the_run(store: Store) -> None:
    runs = [submit(store, upto(1) | {"limit": "${{ inputs.now && 2 || 1 }}"}) for _ in range(3)]
    assert of(store, *runs) == ["queued", "queued", "blocked"]


def test_while_one_goes_on_no_more_do_than_its_own_limit(store: Store) -> None:
    runs = [submit(store, upto(limit)) for limit in (3, 3, 1, 3, 2, 3)]
    assert of(store, *runs) == ["queued"] * 2 + ["blocked"] * 4
    finish(store, runs[0])
    assert of(store, *runs[1:]) == ["queued"] + ["blocked"] * 4
    finish(store, runs[1])
    assert of(store, *runs[2:]) == ["queued", "blocked", "blocked", "blocked"]
    finish(store, runs[2])
    assert of(store, *runs[3:]) == ["queued", "queued", "blocked"]
    finish(store, runs[3])
    assert of(store, *runs[4:]) == ["queued", "queued"]


def test_who_leaves_the_line_lets_those_behind_it_go_on(store: Store) -> None:
    runs = [submit(store, upto(limit)) for limit in (3, 1, 3, 3)]
    assert of(store, *runs) == ["queued", "blocked", "blocked", "blocked"]
    queue.cancel(store, runs[1], 2.0)
    assert of(store, *runs) == ["queued", "cancelled", "queued", "queued"]


def test_a_newcomer_takes_the_place_of_who_waits_not_of_who_goes_on(store: Store) -> None:
    runs = [submit(store, upto(2, queue="single")) for _ in range(5)]
    assert of(store, *runs) == ["queued", "queued", "cancelled", "cancelled", "blocked"]
    assert load(store, runs[2]).reason == "run 4 came for group `g`"


def test_a_newcomer_ends_the_oldest_when_there_is_no_room(store: Store) -> None:
    ask = upto(2, queue="single", **{"cancel-in-progress": True})
    runs = [submit(store, ask) for _ in range(2)]
    held = [leased(store, run) for run in runs]
    runs += [submit(store, ask) for _ in range(2)]
    assert [queue.cancelled(store, run) for run in runs] == [True, False, True, False]
    assert of(store, *runs) == ["running", "running", "cancelled", "blocked"]
    queue.finish(store, held[0], JobOutcome("cancelled"), 3.0)
    assert of(store, *runs) == ["cancelled", "running", "cancelled", "queued"]


def test_a_newcomer_that_wants_to_be_alone_ends_all(store: Store) -> None:
    runs = [submit(store, upto(3)) for _ in range(4)]
    last = submit(store, CANCEL)
    assert of(store, *runs, last) == ["cancelled"] * 4 + ["queued"]


def test_holders_that_were_killed_free_their_places(store: Store) -> None:
    runs = [submit(store, upto(3), process=owner) for owner in (GONE, "", GONE, "", "", "")]
    assert of(store, *runs) == ["queued"] * 3 + ["blocked"] * 3
    queue.rescue(store, 2.0)
    assert of(store, *runs) == ["failure", "queued", "failure", "queued", "queued", "blocked"]


def test_legs_run_so_many_at_a_time(store: Store) -> None:
    run = in_group(store, upto(2), strategy={"matrix": {"n": [1, 2, 3, 4, 5]}})
    counts = []
    while found := queue.lease(store, "me", run=run, limit=9, now=2.0):
        counts.append(len(found))
        for lease in found:
            queue.finish(store, lease, JobOutcome("success"), 3.0)
    assert (counts, of(store, run)) == ([2, 2, 1], ["success"])


def test_a_job_may_share_the_group_of_its_run_when_there_is_room(store: Store) -> None:
    run = submit(store, upto(2), {"a": job(concurrency=upto(2)), "b": job(concurrency=upto(1))})
    assert states(store, run) == {"a": "queued", "b": "failure"}
    assert "the run itself holds group `g`" in load(store, run).jobs["b"].reason


def test_two_runs_whose_jobs_want_the_room_that_they_have_taken(store: Store) -> None:
    jobs = {"start": job(), "x": job(needs="start", concurrency=upto(2))}
    first, second = submit(store, upto(2), jobs), submit(store, upto(2), jobs)
    finish(store, first)
    assert states(store, first)["x"] == "blocked"
    finish(store, second)
    assert (states(store, first)["x"], states(store, second)["x"]) == ("queued", "failure")
    assert of(store, second) == ["failure"]


@pytest.mark.parametrize("order", ["first", "last"])
def test_who_waits_for_several_waits_for_ever_when_all_wait_for_it(
    store: Store, order: str
) -> None:
    """Two hold `g` and want `h`, whose holder wants `g`: as long as one of them does not, all is well."""
    in_h = {"start": job(), "x": job(needs="start", concurrency={"group": "h", "queue": "max"})}
    in_g = {"start": job(), "x": job(needs="start", concurrency=upto(2))}
    one, two = submit(store, upto(2), in_h), submit(store, upto(2), in_h)
    three = submit(store, "h", in_g)
    runs = [three, one, two] if order == "first" else [one, two, three]
    for run in runs[:2]:
        finish(store, run)
        assert states(store, run)["x"] == "blocked"
    finish(store, runs[2])
    assert states(store, runs[2])["x"] == "failure"
    assert "so neither would ever go on" in load(store, runs[2]).jobs["x"].reason
    for run in runs[:2]:
        while load(store, run).state != "finished" and states(store, run)["x"] == "queued":
            finish(store, run)
    assert "failure" not in of(store, *runs[:2])


def test_the_holders_are_named(store: Store) -> None:
    in_group(store, upto(2))
    submit(store, upto(2))
    submit(store, upto(2))
    assert explanations(store) == {
        (3, ""): "waits for group `g`: held by run 1 (job `a`) and run 2"
    }
    for _ in range(6):
        submit(store, upto(5) | {"group": "many"})
    held = "held by run 4, run 5, run 6 and 2 more"
    assert [str(wait) for wait in queue.waits(store, 9)] == [f"waits for group `many`: {held}"]
    assert queue.waits(store, 8) == []


# -- why it waits --


def test_who_waits_says_for_whom(store: Store) -> None:
    in_group(store, {"group": "Prod", "queue": "max"})
    for _ in range(2):
        submit(store, {"group": "prod", "queue": "max"})
    in_group(store, {"group": "PROD", "queue": "max"})
    assert explanations(store) == {
        (2, ""): "waits for group `prod`: held by run 1 (job `a`)",
        (3, ""): "waits for group `prod`: held by run 1 (job `a`), 1 before it",
        (4, "a"): "waits for group `PROD`: held by run 1 (job `a`), 2 before it",
    }
    finish(store, 1)
    assert [str(wait) for wait in queue.waits(store, 4)] == [
        "waits for group `PROD`: held by run 2, 1 before it"
    ]
    assert queue.waits(store, 2) == []


def test_the_commands_say_why_it_waits(run_pipe: RunPipe, pipe_home: Path) -> None:
    with Store.open(pipe_home) as store:
        submit(store, "g")
        submit(store, "g")
        in_group(store, "g")
    listed = run_pipe("runs").stdout
    assert "queued (waits for group `g`: held by run 1)" not in listed
    assert "cancelled (run 3 (job `a`) came for group `g`)" in listed
    assert "a: blocked (waits for group `g`: held by run 1)" in run_pipe("show", "3").stdout
    [shown] = json.loads(run_pipe("show", "3", "--json").stdout)["jobs"]
    assert shown["reason"] == "waits for group `g`: held by run 1"
    with Store.open(pipe_home) as store:
        queue.cancel(store, 3, 2.0)
        submit(store, "g")
    assert "queued (waits for group `g`: held by run 1)" in run_pipe("runs").stdout
    assert "queued (waits for group `g`: held by run 1)" in run_pipe("show", "4").stdout
    reasons = [run["reason"] for run in json.loads(run_pipe("runs", "--json").stdout)]
    assert reasons[0] == "waits for group `g`: held by run 1"


# -- workers --


def in_thread(bench: Bench, run: int) -> "Working":
    return Working(bench, run)


class Working:
    """A worker in a thread of its own."""

    def __init__(self, bench: Bench, run: int) -> None:
        self.worker = bench.worker()
        self._ended: list[RunFinished] = []
        self._thread = threading.Thread(target=lambda: self._ended.append(self.worker.work(run)))
        self._thread.start()

    def end(self) -> RunFinished:
        self._thread.join(15)
        [ended] = self._ended
        return ended


def notes(bench: Bench, run: int) -> list[tuple[str, str]]:
    return [(note.job, note.message) for note in bench.shown(Note) if note.run == run]


def test_a_worker_waits_until_its_run_may_start_and_says_so_once(bench: Bench) -> None:
    first = bench.submit({"a": "open begun\nwait end"}, concurrency="g")
    second = bench.submit({"b": "print b"}, concurrency="g")
    one, two = in_thread(bench, first), in_thread(bench, second)
    assert bench.engine.gate("begun").wait(15)
    wait_until(lambda: notes(bench, second), "a note")
    assert bench.engine.open_boxes == {"a"}
    bench.engine.gate("end").set()
    assert [one.end().result, two.end().result] == ["success", "success"]
    assert notes(bench, second) == [("", f"waits for group `g`: held by run {first}")]
    assert bench.engine.most_at_once == 1


def test_legs_in_one_group_run_one_at_a_time(bench: Bench) -> None:
    legs = {"strategy": {"matrix": {"n": [1, 2, 3]}}, "concurrency": MAX}
    run = bench.submit({"a": legs, "b": {"needs": "a"}})
    assert bench.worker().work(run).result == "success"
    assert bench.engine.most_at_once == 1
    assert bench.results() == dict.fromkeys(["a (1)", "a (2)", "a (3)", "b"], "success")


def test_a_worker_ends_what_a_newcomer_cancels(bench: Bench) -> None:
    first = in_thread(bench, bench.submit({"a": "open begun\nhang"}, concurrency=CANCEL))
    assert bench.engine.gate("begun").wait(15)
    second = in_thread(bench, bench.submit({"b": "print b"}, concurrency=CANCEL))
    ended = first.end()
    assert (ended.result, ended.reason) == ("cancelled", "run 2 came for group `g`")
    assert notes(bench, 1) == [("", "cancelled: run 2 came for group `g`")]
    assert second.end().result == "success"


def test_a_run_that_is_sent_away_while_it_waits_ends(bench: Bench) -> None:
    bench.submit({"a": "print a"}, concurrency="g")
    second = in_thread(bench, bench.submit({"b": "print b"}, concurrency="g"))
    wait_until(lambda: notes(bench, 2), "a note")
    bench.submit({"c": "print c"}, concurrency="g")
    assert (second.end().result, second.end().reason) == ("cancelled", "run 3 came for group `g`")


def test_a_run_that_is_cancelled_while_it_waits_ends(bench: Bench) -> None:
    bench.submit({"a": "print a"}, concurrency="g")
    second = in_thread(bench, bench.submit({"b": "print b"}, concurrency="g"))
    wait_until(lambda: notes(bench, 2), "a note")
    second.worker.cancel()
    assert second.end().result == "cancelled"
    assert line(bench.store, project="/p") == [(1, "")]


def test_who_waits_notices_that_the_holder_was_killed(bench: Bench) -> None:
    for _ in range(2):
        submit(bench.store, MAX, project="/p", process=GONE)
    assert (
        in_thread(bench, bench.submit({"b": "print b"}, concurrency=MAX)).end().result == "success"
    )
    assert [load(bench.store, run).reason for run in (1, 2)] == ["lost", "lost"]


def test_who_waits_in_another_container_gives_signs_of_life(bench: Bench) -> None:
    pid, start_time, boot = queue.process_identity().split(":")
    elsewhere = f"{pid}:{start_time}:{boot.partition('/')[0]}/1"
    bench.submit({"a": "print a"}, concurrency="g")
    run = submit(bench.store, "g", project="/p", process=elsewhere)
    waiting = in_thread(bench, run)
    wait_until(lambda: notes(bench, run), "a note")
    assert queue.rescue(bench.store, time.time() + queue.LEASE_SECONDS) == []
    assert queue.rescue(bench.store, time.time() + 3 * queue.LEASE_SECONDS) != []
    assert waiting.end().reason == "lost"


# -- any order of events --

GROUPS = st.sampled_from(["g", "h"])
KINDS = st.sampled_from(["single", "max", "cancel"])
LIMITS = st.sampled_from([1, 1, 2, 3])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), st.booleans(), GROUPS, KINDS, LIMITS),
        st.tuples(st.sampled_from(["lease", "finish", "cancel", "kill"]), st.integers(0, 9)),
    ),
    max_size=40,
)


@dataclass(slots=True)
class Modelled:
    """One run of one job: `blocked`, `queued`, `running`, or how it ended."""

    group: str
    limit: int
    state: str = "blocked"


@dataclass(slots=True)
class Model:
    """What should be so: the runs, and the line of each group."""

    runs: dict[int, Modelled] = field(default_factory=dict)
    lines: dict[str, deque[int]] = field(default_factory=lambda: {"g": deque(), "h": deque()})

    def enqueue(self, run: int, group: str, kind: str, limit: int) -> None:
        self.runs[run] = Modelled(group, limit)
        line = self.lines[group]
        for waiting in [each for each in line if self.runs[each].state == "blocked"]:
            if kind != "max":
                line.remove(waiting)
                self.runs[waiting].state = "cancelled"
        holding = list(line)
        line.append(run)
        if kind == "cancel":
            room = min([limit, *(self.runs[each].limit for each in holding)])
            for oldest in holding[: max(0, len(holding) + 1 - room)]:
                if self.runs[oldest].state == "queued":
                    self.end(oldest, "cancelled")
        self.promote(group)

    def end(self, run: int, result: str) -> None:
        self.runs[run].state = result
        self.lines[self.runs[run].group].remove(run)
        self.promote(self.runs[run].group)

    def promote(self, group: str) -> None:
        line = list(self.lines[group])
        for at, run in enumerate(line):
            if at >= min(self.runs[each].limit for each in line[: at + 1]):
                break
            if self.runs[run].state == "blocked":
                self.runs[run].state = "queued"

    def with_state(self, *wanted: str) -> list[int]:
        return [run for run, found in self.runs.items() if found.state in wanted]


@dataclass(slots=True)
class Played:
    """The operations, done to a store and to the model of it."""

    store: Store
    model: Model = field(default_factory=Model)
    leases: dict[int, Lease] = field(default_factory=dict)

    def do(self, verb: str, *arguments: Any) -> None:
        if verb == "enqueue":
            self._enqueue(*arguments)
            return
        wanted = {"lease": ("queued",), "finish": ("running",)}
        candidates = self.model.with_state(*wanted.get(verb, ("blocked", "queued", "running")))
        if candidates:
            getattr(self, f"_{verb}")(candidates[arguments[0] % len(candidates)])

    def _enqueue(self, is_run: bool, group: str, kind: str, limit: int) -> None:
        asked = {
            "group": group,
            "limit": limit,
            "cancel-in-progress": kind == "cancel",
            "queue": "max" if kind == "max" else "single",
        }
        jobs = {"a": job() if is_run else job(concurrency=asked)}
        run = submit(self.store, asked if is_run else None, jobs)
        self.model.enqueue(run, group, kind, limit)

    def _lease(self, run: int) -> None:
        self.leases[run] = leased(self.store, run)
        self.model.runs[run].state = "running"

    def _finish(self, run: int) -> None:
        queue.finish(self.store, self.leases[run], JobOutcome("success"), 3.0)
        self.model.end(run, "success")

    def _cancel(self, run: int) -> None:
        queue.cancel(self.store, run, 3.0)
        if self.model.runs[run].state != "running":
            self.model.end(run, "cancelled")

    def _kill(self, run: int) -> None:
        die(self.store, run)
        self.model.end(run, "failure")

    def check(self) -> None:
        assert {run: of(self.store, run)[0] for run in self.model.runs} == {
            run: found.state for run, found in self.model.runs.items()
        }
        for group, expected in self.model.lines.items():
            assert [run for run, _ in line(self.store, group.upper())] == list(expected)


def play(operations: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as home, Store.open(Path(home)) as store:
        played = Played(store)
        for operation in operations:
            played.do(*operation)
            played.check()
        while found := played.model.with_state("queued", "running"):
            for run in found:
                played.do("lease" if played.model.runs[run].state == "queued" else "finish", 0)
        played.check()
        assert not played.model.with_state("blocked", "queued", "running")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enqueue", "enqueue", "finish", "finish", "retry", "cancel", "kill"]),
        st.integers(0, 99),
    ),
    max_size=40,
)


def large(seed: int) -> tuple[Any, dict[str, Any]]:
    """A run of several jobs in groups of their own kinds, so that no two wait for each other."""
    limit = {"limit": seed // 16 % 3 + 1}
    kinds: list[dict[str, Any]] = [each | limit for each in (CANCEL, MAX, {"group": "g"})]
    top = [None, *kinds][seed % 4]
    of_legs = {**kinds[seed % 3], "group": "${{ matrix.n }}"}
    matrix = {"matrix": {"n": ["one", "two", "one"]}, "fail-fast": False}
    of_last = {**kinds[seed // 4 % 3], "group": "one"}
    return top, {
        "legs": job(concurrency=of_legs, strategy=matrix),
        "free": job(),
        "last": job(needs=["legs", "free"], concurrency=of_last, **{"if": "always()"}),
    }


def take_step(store: Store, verb: str, seed: int, leases: dict[tuple[int, str], Lease]) -> None:
    for run in open_runs(store):
        found = queue.lease(store, "me", run=run, limit=seed % 3, now=2.0)
        leases |= {(lease.run, lease.key): lease for lease in found}
    runs = open_runs(store)
    if verb == "enqueue":
        submit(store, *large(seed))
    elif verb in ("finish", "retry") and leases:
        lease = leases.pop(sorted(leases)[seed % len(leases)])
        result, again = ("failure", 0.0) if verb == "retry" else ("success", None)
        with suppress(queue.LeaseLostError):
            outcome = JobOutcome(result, retry_after=again)  # type: ignore[arg-type]
            queue.finish(store, lease, outcome, 3.0)
    elif verb == "cancel" and runs:
        queue.cancel(store, runs[seed % len(runs)], 3.0)
    elif verb == "kill" and runs:
        die(store, runs[seed % len(runs)])


def die(store: Store, run: int) -> None:
    with store.notes.writing() as database:
        database.execute(
            "UPDATE run SET process = :gone WHERE id = :run", {"gone": GONE, "run": run}
        )
    queue.rescue(store, 3.0)


def open_runs(store: Store) -> list[int]:
    with store.notes.reading() as database:
        found = database.execute("SELECT id FROM run WHERE state != 'finished' ORDER BY id")
        return [row["id"] for row in found]


def check_lines(store: Store) -> None:
    """Whoever goes on is among the first in its line, and whoever stands in one has not ended."""
    with store.notes.reading() as database:
        places = database.execute("SELECT * FROM place ORDER BY id").fetchall()
    limits: dict[str, list[int]] = {}
    for place in places:
        run = load(store, place["run"])
        jobs = [run.jobs[asker_of(place["job"])]] if place["job"] else list(run.jobs.values())
        active = {each.state for each in jobs} & {"queued", "scheduled", "running"}
        so_far = limits.setdefault(place["name"], [])
        so_far.append(place["capacity"])
        assert run.state != "finished"
        assert len(so_far) <= min(so_far) or not active
        assert not place["job"] or jobs[0].state != "finished"


def play_large(steps: list[tuple[str, int]]) -> None:
    leases: dict[tuple[int, str], Lease] = {}
    with TemporaryDirectory() as home, Store.open(Path(home)) as store:
        for verb, seed in steps:
            take_step(store, verb, seed, leases)
            check_lines(store)
        for _ in range(20 * len(steps)):
            take_step(store, "finish", 2, leases)
        assert open_runs(store) == []
        check_lines(store)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_any_order_of_events_in_large_runs(steps: list[tuple[str, int]]) -> None:
    play_large(steps)


@pytest.mark.faults
@settings(max_examples=1000, deadline=None)
@given(STEPS)
def test_any_order_of_events_in_large_runs_for_long(steps: list[tuple[str, int]]) -> None:
    play_large(steps)


@settings(max_examples=100, deadline=None)
@given(OPERATIONS)
def test_any_order_of_events(operations: list[tuple[Any, ...]]) -> None:
    play(operations)


@pytest.mark.faults
@settings(max_examples=3000, deadline=None)
@given(OPERATIONS)
def test_any_order_of_events_for_long(operations: list[tuple[Any, ...]]) -> None:
    play(operations)
