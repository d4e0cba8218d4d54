"""Concurrency groups of calls and of what is called, and those that would wait for each other."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import queue
from runner.plan import plan
from runner.queue import JobOutcome, Submission
from runner.reuse import Earlier, reusable
from runner.store import Store, hot
from runner.store.rows import states_of
from tests.test_concurrency import (
    CANCEL,
    CONTEXTS,
    GONE,
    MAX,
    check_lines,
    explanations,
    finish,
    in_group,
    job,
    leased,
    line,
    load,
    of,
    open_runs,
    states,
    take_step,
)
from tests.test_concurrency import submit as submit_plain


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def callee(concurrency: Any = None, jobs: Mapping[str, Any] | None = None) -> str:
    """A pipeline that can be called, by default of two jobs, one after the other."""
    top = {} if concurrency is None else {"concurrency": concurrency}
    on = {"workflow_call": {"inputs": {"to": {"type": "string"}}}}
    chain = {"one": job(), "two": job(needs="one")}
    return json.dumps({"on": on, **top, "jobs": jobs or chain})


def call(to: Any = "x", file: str = "x.yaml", **keys: Any) -> dict[str, Any]:
    return {"uses": f"./{file}", "with": {"to": to}, **keys}


def submit(
    store: Store,
    jobs: Mapping[str, Any],
    concurrency: Any = None,
    called: str | Mapping[str, str] = "",
    **changes: Any,
) -> int:
    """A run that calls; by default what asks for no group."""
    texts = called if isinstance(called, Mapping) else {"x.yaml": called or callee()}
    top = {} if concurrency is None else {"concurrency": concurrency}
    text = json.dumps({"on": "push", **top, "jobs": jobs})
    values = {"file": "ci.yaml", "project": "/project", "name": "CI", "contexts": CONTEXTS}
    submission = Submission(**{**values, "text": text, "called": texts, **changes})
    pipeline = queue.load_pipeline(submission.file, text, submission.called)
    return queue.enqueue(store, submission, plan(pipeline, submission.contexts), 1.0)


def call_in_group(store: Store, concurrency: Any, **keys: Any) -> int:
    return submit(store, {"a": call(concurrency=concurrency, **keys)})


def call_of_group(store: Store, concurrency: Any) -> int:
    return submit(store, {"a": call()}, called=callee(concurrency))


ASKERS = pytest.mark.parametrize("enter", [call_in_group, call_of_group])


# -- taken, held, and waited for --


@ASKERS
def test_a_call_waits_and_says_for_whom(store: Store, enter: Any) -> None:
    first, second = in_group(store, "g"), enter(store, "G")
    assert states(store, second) == {"a": "blocked"}
    assert explanations(store) == {(second, "a"): "waits for group `G`: held by run 1 (job `a`)"}
    finish(store, first)
    assert states(store, second) == {"a": "running", "a / one": "queued", "a / two": "blocked"}


@ASKERS
def test_a_call_holds_its_group_until_it_has_ended(store: Store, enter: Any) -> None:
    first, second = enter(store, "g"), in_group(store, "g")
    assert states(store, first)["a / one"] == "queued"
    assert explanations(store) == {(second, "a"): "waits for group `g`: held by run 1 (job `a`)"}
    finish(store, first)
    assert of(store, second) == ["blocked"]
    finish(store, first)
    assert (states(store, first)["a"], of(store, second)) == ("success", ["queued"])
    finish(store, second)
    assert line(store) == []


def test_a_call_in_two_groups_takes_that_of_the_caller_first(store: Store) -> None:
    held = submit_plain(store, "outer"), submit_plain(store, "inner")
    run = submit(store, {"a": call(concurrency="outer")}, called=callee("inner"))
    assert (line(store, "OUTER")[1:], line(store, "INNER")[1:]) == ([(run, "a")], [])
    finish(store, held[0])
    assert line(store, "INNER")[1:] == [(run, "a / ")]
    assert explanations(store) == {(run, "a"): "waits for group `inner`: held by run 2"}
    finish(store, held[1])
    assert states(store, run)["a / one"] == "queued"
    queue.cancel(store, run, 3.0)
    assert (line(store, "OUTER"), line(store, "INNER")) == ([], [])


def test_the_group_of_what_is_called_depends_on_its_inputs(store: Store) -> None:
    jobs = {"a": call("p"), "b": call("p"), "c": call("q")}
    run = submit(store, jobs, called=callee("${{ inputs.to }}-${{ github.ref }}"))
    assert line(store, "P-MAIN") == [(run, "a / "), (run, "b / ")]
    assert line(store, "Q-MAIN") == [(run, "c / ")]
    assert states(store, run)["b"] == "blocked"
    assert states(store, run)["c / one"] == "queued"


def test_the_group_of_a_call_may_depend_on_its_needs_and_matrix(store: Store) -> None:
    strategy = {"matrix": {"n": [1, 2]}}
    name = "${{ needs.first.outputs.to }}-${{ matrix.n }}"
    run = submit(
        store, {"first": job(), "a": call(needs="first", concurrency=name, strategy=strategy)}
    )
    queue.finish(store, leased(store, run), JobOutcome("success", {"to": "p"}), 3.0)
    assert line(store, "P-1") == [(run, "a (1)")]
    assert line(store, "P-2") == [(run, "a (2)")]


@ASKERS
@pytest.mark.parametrize(
    ("concurrency", "ended"),
    [
        (MAX, ["success", "success", "success"]),
        ("g", ["success", "cancelled", "success"]),
        (CANCEL, ["cancelled", "cancelled", "success"]),
    ],
)
def test_legs_of_a_matrix_over_calls(
    store: Store, enter: Any, concurrency: Any, ended: list[str]
) -> None:
    legs: dict[str, Any] = {"strategy": {"matrix": {"n": [1, 2, 3]}}}
    if enter is call_in_group:
        run = call_in_group(store, concurrency, **legs)
    else:
        run = submit(store, {"a": call(**legs)}, called=callee(concurrency))
    while load(store, run).state != "finished":
        [lease] = queue.lease(store, "me", run=run, limit=9, now=2.0)
        queue.finish(store, lease, JobOutcome("success"), 3.0)
    found = states(store, run)
    assert [found[f"a ({n})"] for n in (1, 2, 3)] == ended
    assert line(store) == []


def test_a_leg_that_waits_counts_for_max_parallel(store: Store) -> None:
    in_group(store, "g")
    strategy = {"matrix": {"n": ["g", "h", "i"]}, "max-parallel": 2}
    run = call_in_group(store, "${{ matrix.n }}", strategy=strategy)
    found = states(store, run)
    assert [found[f"a ({n})"] for n in (1, 2, 3)] == ["blocked", "running", "blocked"]


def test_a_call_in_a_call_waits_too(store: Store) -> None:
    in_group(store, "g")
    middle = callee(jobs={"deep": call("${{ inputs.to }}", "y.yaml"), "free": job()})
    texts = {"x.yaml": middle, "y.yaml": callee("${{ inputs.to }}")}
    run = submit(store, {"a": call("g")}, called=texts)
    assert states(store, run) == {"a": "running", "a / deep": "blocked", "a / free": "queued"}
    finish(store, 1)
    assert states(store, run)["a / deep / one"] == "queued"


def test_calls_of_a_run_that_waits_go_on_when_it_does(store: Store) -> None:
    first = submit_plain(store, "g")
    second, third = (submit(store, {"a": call()}, MAX, process=owner) for owner in ("", GONE))
    for run in (second, third):
        assert states(store, run) == dict.fromkeys(["a", "a / one", "a / two"], "blocked")
    queue.rescue(store, 2.0)
    assert set(states(store, third).values()) == {"skipped"}
    finish(store, first)
    assert states(store, second) == {"a": "running", "a / one": "queued", "a / two": "blocked"}


def test_a_call_that_does_not_start_joins_no_line(store: Store) -> None:
    first = in_group(store, MAX)
    assert of(store, call_in_group(store, MAX, **{"if": "false"})) == ["success"]
    assert line(store) == [(first, "a")]


# -- sent away, cancelled, refused --


@ASKERS
def test_a_call_that_waits_is_sent_away_whole(store: Store, enter: Any) -> None:
    first, second, third = in_group(store, "g"), enter(store, "g"), in_group(store, "g")
    assert states(store, second) == {"a": "cancelled"}
    assert load(store, second).jobs["a"].reason == f"run {third} (job `a`) came for group `g`"
    assert of(store, first, second, third) == ["queued", "cancelled", "blocked"]


@ASKERS
def test_a_call_that_goes_on_is_cancelled_with_its_jobs(store: Store, enter: Any) -> None:
    first = enter(store, "g")
    lease = leased(store, first)
    second = in_group(store, CANCEL)
    assert queue.cancel_requests(store, "me") == [(first, "a / one")]
    assert states(store, first) == {"a": "running", "a / one": "running", "a / two": "cancelled"}
    assert not queue.cancelled(store, first)
    assert of(store, second) == ["blocked"]
    queue.finish(store, lease, JobOutcome("cancelled"), 3.0)
    assert of(store, first, second) == ["cancelled", "queued"]
    reasons = {key: each.reason for key, each in load(store, first).jobs.items()}
    assert reasons["a"] == reasons["a / two"] == f"run {second} (job `a`) came for group `g`"


def test_what_has_to_end_in_a_call_keeps_the_group(store: Store) -> None:
    jobs = {"one": job(), "cleanup": job(needs="one", **{"if": "always()"})}
    run = submit(store, {"a": call(), "b": job()}, called=callee("g", jobs))
    second = in_group(store, CANCEL)
    found = states(store, run)
    assert (found["a / one"], found["a / cleanup"], found["b"]) == ("cancelled", "queued", "queued")
    assert of(store, second) == ["blocked"]
    finish(store, run)
    assert (states(store, run)["a"], of(store, second)) == ("cancelled", ["queued"])
    finish(store, run)
    assert load(store, run).result == "cancelled"


def test_what_a_call_calls_is_cancelled_with_it(store: Store) -> None:
    texts = {"x.yaml": callee(jobs={"deep": call(file="y.yaml")}), "y.yaml": callee("h")}
    in_group(store, "h")
    waits = submit(store, {"a": call(concurrency="g")}, called=texts)
    in_group(store, CANCEL)
    assert states(store, waits) == {"a": "cancelled", "a / deep": "cancelled"}
    assert line(store, "H") == [(1, "a")]
    finish(store, 1)
    goes_on = submit(store, {"a": call(concurrency={**MAX, "group": "i"})}, called=texts)
    assert states(store, goes_on)["a / deep / one"] == "queued"
    in_group(store, {**CANCEL, "group": "I"})
    assert set(states(store, goes_on).values()) == {"cancelled"}
    assert line(store, "H") == []


@pytest.mark.parametrize("concurrency", ["g", MAX])
@ASKERS
def test_a_run_that_is_cancelled_frees_the_groups_of_its_calls(
    store: Store, enter: Any, concurrency: Any
) -> None:
    first, second, third = (enter(store, MAX), enter(store, MAX), in_group(store, MAX))
    queue.cancel(store, second, 2.0)
    assert line(store)[1:] == [(third, "a")]
    queue.cancel(store, first, 2.0)
    assert of(store, first, second, third) == ["cancelled", "cancelled", "queued"]


def test_a_call_that_is_lost_frees_its_groups(store: Store) -> None:
    called = callee({**MAX, "group": "inner"})
    jobs = {"a": call(concurrency=MAX)}
    runs = [submit(store, jobs, called=called, process=owner) for owner in (GONE, GONE, "")]
    leased(store, runs[0])
    queue.rescue(store, 3.0)
    assert of(store, *runs) == ["failure", "failure", "running"]
    assert [load(store, run).reason for run in runs[:2]] == ["lost", "lost"]
    assert (line(store), line(store, "INNER")) == ([(runs[2], "a")], [(runs[2], "a / ")])


@pytest.mark.parametrize(
    ("jobs", "concurrency", "called", "reason"),
    [
        (
            {"a": call(concurrency="G")},
            "g",
            callee(),
            "concurrency: the run itself holds group `G`",
        ),
        ({"a": call()}, "g", callee("G"), "concurrency: the run itself holds group `G`"),
        ({"a": call(concurrency="g")}, None, callee("G"), "concurrency: call `a` holds group `G`"),
        ({"a": call()}, None, callee("${{ github.none }}"), "of `x.yaml`: the name of the group"),
        ({"a": call(concurrency="${{ '' }}")}, None, callee(), "concurrency: the name of the"),
        ({"a": call("${{ fromJSON('no') }}")}, None, callee("g"), "input `to`: "),
    ],
)
def test_a_call_fails_that_would_wait_for_itself_or_asks_for_nothing(
    store: Store, jobs: Any, concurrency: Any, called: str, reason: str
) -> None:
    run = submit(store, {**jobs, "b": job(needs="a")}, concurrency, called)
    assert states(store, run) == {"a": "failure", "b": "skipped"}
    assert reason in load(store, run).jobs["a"].reason
    assert line(store) == []


@pytest.mark.parametrize("where", ["call", "called"])
def test_a_job_does_not_wait_for_its_own_call(store: Store, where: str) -> None:
    jobs = {"one": job(concurrency="G")}
    keys, top = ({"concurrency": "g"}, None) if where == "call" else ({}, "g")
    run = submit(store, {"a": call(**keys)}, called=callee(top, jobs))
    assert states(store, run) == {"a": "failure", "a / one": "failure"}
    reason = "concurrency: call `a` holds group `G`, so this would wait for ever"
    assert load(store, run).jobs["a / one"].reason == reason


def test_what_is_reused_does_not_depend_on_groups(store: Store) -> None:
    strategy = {"matrix": {"n": [1, 2]}}
    run = submit(
        store, {"a": call(concurrency=MAX, strategy=strategy), "b": job()}, called=callee("h")
    )
    while load(store, run).state != "finished":
        finish(store, run)
    ended = load(store, run)
    submission = ended.submission
    pipeline = queue.load_pipeline(submission.file, submission.text, submission.called)
    earlier = Earlier(pipeline, ended.plan, states_of(ended))
    found = reusable(pipeline, plan(pipeline, CONTEXTS), CONTEXTS, earlier)
    assert set(found) == {*(f"a ({n}) / {each}" for n in (1, 2) for each in ("one", "two")), "b"}


@ASKERS
def test_as_many_calls_go_on_as_the_limit_says(store: Store, enter: Any) -> None:
    runs = [enter(store, MAX | {"limit": 2}) for _ in range(4)]
    assert [states(store, run)["a"] for run in runs] == ["running", "running", "blocked", "blocked"]
    finish(store, runs[1])
    finish(store, runs[1])
    found = [states(store, run)["a"] for run in runs]
    assert found == ["running", "success", "running", "blocked"]


# -- those that would wait for each other --


def test_two_runs_that_would_wait_for_each_other(store: Store) -> None:
    jobs = {"start": job(), "x": job(needs="start")}
    first = submit_plain(store, "g", {**jobs, "x": {**jobs["x"], "concurrency": "h"}})
    second = submit_plain(store, "h", {**jobs, "x": {**jobs["x"], "concurrency": "G"}})
    finish(store, first)
    assert states(store, first)["x"] == "blocked"
    finish(store, second)
    assert states(store, second)["x"] == "failure"
    assert load(store, second).jobs["x"].reason == (
        "concurrency: run 1 comes first in group `G`, but waits for what this job is in,"
        " so neither would ever go on"
    )
    assert states(store, first)["x"] == "queued"
    finish(store, first)
    assert of(store, first, second) == ["success", "failure"]


def test_three_that_would_wait_for_each_other_through_a_call_and_a_line(store: Store) -> None:
    start = {"start": job()}
    one = {**start, "x": job(needs="start", concurrency=MAX)}
    first = submit(store, {"a": call(concurrency="f")}, called=callee(None, one))
    waits = {**start, "x": job(needs="start", concurrency="f")}
    second = submit_plain(store, "e", waits)
    third = submit_plain(store, "g", {**start, "x": job(needs="start", concurrency="e")})
    finish(store, second)
    finish(store, third)
    assert [wait.run for run in (first, second, third) for wait in queue.waits(store, run)] == [
        second,
        third,
    ]
    finish(store, first)
    assert states(store, first)["a / x"] == "failure"
    assert "run 3 comes first in group `g`" in load(store, first).jobs["a / x"].reason
    assert of(store, first) == ["failure"]
    assert states(store, second)["x"] == "queued"


def test_two_calls_of_a_run_that_would_wait_for_each_other(store: Store) -> None:
    inner = callee("${{ inputs.to }}", {"x": job(concurrency="not-${{ inputs.to }}")})
    run = submit(store, {"a": call("p"), "b": call("not-p")}, called=inner)
    assert states(store, run)["a / x"] == "blocked"
    other = callee("${{ inputs.to }}", {"x": job(concurrency="q")})
    texts = {"x.yaml": callee("q", {"x": job(concurrency="r")}), "y.yaml": other}
    run = submit(store, {"a": call(), "b": call("r", "y.yaml")}, called=texts)
    found = states(store, run)
    assert (found["a / x"], found["b / x"]) == ("queued", "failure")


def test_who_ends_the_other_does_not_wait_for_it(store: Store) -> None:
    jobs = {"x": job(concurrency="h")}
    first = submit_plain(store, "g", {"start": job(), "x": {**jobs["x"], "needs": "start"}})
    second = submit_plain(store, "h", {"y": job(concurrency=CANCEL)})
    assert of(store, first, second) == ["cancelled", "queued"]


@pytest.mark.parametrize("other", ["g", "i"])
def test_who_waits_for_one_that_goes_on_waits(store: Store, other: str) -> None:
    held = in_group(store, "i")
    first = submit_plain(store, "g", {"x": job(concurrency="h")})
    second = submit_plain(store, "j", {"x": job(concurrency=other)})
    assert of(store, held, first, second) == ["queued", "queued", "blocked"]


def test_a_decision_that_another_one_makes_a_deadlock_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit_plain(store, "g", {"start": job(), "x": job(needs="start", concurrency="h")})
    second = submit_plain(store, "h", {"start": job(), "x": job(needs="start", concurrency="g")})
    other, save = leased(store, first), hot.save

    def save_too_late(*arguments: Any) -> bool:
        monkeypatch.setattr(hot, "save", save)
        queue.finish(store, other, JobOutcome("success"), 3.0)
        return save(*arguments)

    lease = leased(store, second)
    monkeypatch.setattr(hot, "save", save_too_late)
    queue.finish(store, lease, JobOutcome("success"), 3.0)
    assert (states(store, first)["x"], states(store, second)["x"]) == ("queued", "failure")


# -- any order of events --

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "finish", "finish", "retry", "cancel", "kill"]),
        st.integers(0, 999),
    ),
    max_size=25,
)
NAMES = ("g", "h", "i")


def asked(seed: int) -> dict[str, Any]:
    """A group of some kind, or none."""
    name = NAMES[seed % 3]
    kinds: list[Any] = [None, {}, MAX, CANCEL]
    found = kinds[seed // 3 % 4]
    group = {"group": name, "limit": (1, 1, 2, 3)[seed // 6 % 4]}
    return {} if found is None else {"concurrency": {**found, **group}}


def enter(store: Store, seed: int) -> None:
    """A run with groups inside of groups, among which any may wait for any other."""
    legs: dict[str, Any] = {"strategy": {"matrix": {"n": [1, 2]}, "fail-fast": False}}
    deep = {"one": job(**asked(seed // 5)), "two": job(needs="one", **{"if": "always()"})}
    middle = {"deep": call(file="y.yaml", **asked(seed // 11)), "free": job(**asked(seed // 17))}
    called = {
        "x.yaml": callee(asked(seed // 2).get("concurrency"), middle),
        "y.yaml": callee(asked(seed // 23).get("concurrency"), deep),
    }
    jobs = {
        "a": call(**asked(seed // 3), **(legs if seed % 2 else {})),
        "b": job(**asked(seed // 7)),
        "c": job(needs=["a", "b"], **asked(seed // 13), **{"if": "always()"}),
    }
    submit(store, jobs, asked(seed).get("concurrency"), called)


def play(steps: list[tuple[str, int]]) -> None:
    leases: dict[Any, Any] = {}
    with TemporaryDirectory() as home, Store.open(Path(home)) as store:
        for verb, seed in steps:
            if verb == "enter":
                enter(store, seed)
            take_step(store, verb, seed, leases)
            check_lines(store)
        for _ in range(30 * len(steps)):
            if not open_runs(store):
                break
            take_step(store, "finish", 2, leases)
        assert open_runs(store) == []
        check_lines(store)
        assert explanations(store) == {}


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_order_of_events_leaves_anything_waiting(steps: list[tuple[str, int]]) -> None:
    play(steps)


@pytest.mark.faults
@settings(max_examples=1000, deadline=None)
@given(STEPS)
def test_no_order_of_events_leaves_anything_waiting_for_long(steps: list[tuple[str, int]]) -> None:
    play(steps)
