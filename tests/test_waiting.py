"""Every run and job that waits says why, and how much of a run is done."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.errors import RefusedError
from runner.events import StepFinished
from runner.plan import plan
from runner.queue import Entry, JobOutcome, Lease, Situation, Submission
from runner.store import Store, census, hot, limits, workers
from runner.store.limits import Scope
from runner.store.workers import WorkerRecord
from tests.test_queue import CHAIN, ONE, pipeline

NOW = 1_000_000.0


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def entry(text: str = ONE, due_at: float | None = None, **changes: Any) -> Entry:
    values = {"file": "ci.yaml", "project": "/p", "name": "CI", "contexts": {"github": {}}}
    submission = Submission(**{**values, "text": text, **changes})
    return Entry(submission, plan(queue.load_pipeline("ci.yaml", text), {}), due_at=due_at)


def submit(store: Store, *args: Any, **changes: Any) -> int:
    [run] = queue.enqueue_all(store, [entry(*args, **changes)], NOW)
    return run


def lease(store: Store, *, labels: tuple[str, ...] = (), run: int | None = None) -> Lease:
    [found] = queue.lease(store, "me", labels=labels, run=run, now=NOW)
    return found


def worker(
    store: Store, *labels: str, state: Any = "working", name: str = "", process: str = ""
) -> None:
    record = WorkerRecord(
        name=name or f"worker {os.urandom(3).hex()}",
        process=process or queue.process_identity(),
        host="here",
        labels=labels,
        slots=1,
        state=state,
        started_at=NOW,
        seen_at=NOW,
    )
    workers.register(store.notes, record)


def why(store: Store, run: int, now: float = NOW) -> dict[str, str]:
    """The reasons of a run's jobs, and its own as that of ""."""
    found = Situation(store, now).of(hot.load_run(store.notes, run))
    return {each.job: each.text for each in found}


def whole(store: Store, run: int) -> str:
    stored = hot.load_run(store.notes, run)
    found = queue.whole(stored, Situation(store, NOW).of(stored))
    return found.text if found else ""


def test_it_waits_for_a_worker(store: Store) -> None:
    run = submit(store)
    assert why(store, run) == {"build": "no worker runs"}
    worker(store, state="stopping")
    assert why(store, run) == {"build": "no worker runs"}
    worker(store)
    assert why(store, run) == {"build": "waits for a worker"}
    assert why(store, submit(store)) == {"build": "waits for a worker: 1 before it"}
    assert whole(store, 2) == "waits for a worker: 1 before it"


@pytest.mark.parametrize(
    ("runs_on", "reason"),
    [
        (["self-hosted"], "no worker has the label self-hosted (`pipe worker --host`)"),
        (["self-hosted", "gpu"], "no worker has the labels gpu, self-hosted"),
    ],
)
def test_it_waits_for_a_worker_with_labels(store: Store, runs_on: list[str], reason: str) -> None:
    worker(store)
    run = submit(store, pipeline(build={"runs-on": runs_on}))
    assert why(store, run) == {"build": reason}
    worker(store, *runs_on)
    assert why(store, run) == {"build": "waits for a worker"}


def test_only_rivals_come_before_it(store: Store) -> None:
    worker(store)
    submit(store, pipeline(build={"runs-on": ["self-hosted"]}))
    run = submit(store)
    assert why(store, run) == {"build": "waits for a worker"}
    worker(store, "self-hosted")
    assert why(store, run) == {"build": "waits for a worker: 1 before it"}


def test_it_waits_for_a_limit(store: Store) -> None:
    limits.change(store.promises, Scope("queue", "default", maximum=1), NOW)
    runs = [submit(store) for _ in range(3)]
    lease(store)
    assert queue.lease(store, "me", now=NOW) == []
    text = "waits for limit queue:default: 1 of 1 running"
    assert why(store, runs[1]) == {"build": text}
    assert why(store, runs[2]) == {"build": f"{text}; 1 before it"}
    assert whole(store, runs[2]) == f"{text}; 1 before it"
    # Nobody has tried to start it yet, but it is known what will come of that.
    assert why(store, submit(store)) == {"build": f"{text}; 2 before it"}


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (Scope("queue", "default", paused=True), "queue `default` is paused"),
        (Scope("global", "", paused=True), "the queue is paused"),
        (Scope("owner", "ann", paused=True), "owner:ann is paused"),
        (
            Scope("owner", "ann", per_day=0),
            "waits for limit owner:ann: 0 of 0 started today (UTC)",
        ),
    ],
)
def test_it_waits_for_people(store: Store, scope: Scope, reason: str) -> None:
    run = submit(store, owner="ann")
    limits.change(store.promises, scope, NOW)
    assert why(store, run) == {"build": reason}
    assert queue.lease(store, "me", now=NOW) == []
    assert why(store, run) == {"build": reason}


def test_it_waits_for_its_time(store: Store) -> None:
    run = submit(store, CHAIN, NOW + 3600)
    found = why(store, run)
    assert found[""].startswith("starts at 1970-01-1")
    assert found["test"] == "waits for build"
    assert whole(store, run) == found[""]
    # Nobody lets it into the queue.
    assert why(store, run, NOW + 3601)[""] == "no worker runs"


def test_a_running_job_says_that_its_worker_is_gone(store: Store) -> None:
    run = submit(store)
    worker(store, name="me", process="elsewhere 1")
    lease(store)
    assert why(store, run) == {}
    assert why(store, run, NOW + 60) == {"build": "its worker is gone; the next one takes it"}


def test_it_waits_for_its_next_attempt(store: Store) -> None:
    run = submit(store)
    queue.finish(store, lease(store), JobOutcome("failure", retry_after=8.0), NOW)
    assert why(store, run) == {"build": "attempt 2 in 8 s"}
    assert why(store, run, NOW + 6) == {"build": "attempt 2 in 2 s"}


def test_jobs_wait_for_jobs(store: Store) -> None:
    legs = {"strategy": {"max-parallel": 1, "matrix": {"n": [1, 2]}}}
    run = submit(store, pipeline(build=legs, test={"needs": "build"}))
    lease(store)
    assert why(store, run) == {
        "build (2)": "waits for build (1) (max-parallel 1)",
        "test": "waits for build (1), build (2)",
    }
    assert whole(store, run) == ""


def test_it_waits_for_a_group(store: Store) -> None:
    grouped = pipeline(build={"concurrency": "g"})
    submit(store, grouped)
    run = submit(store, grouped)
    assert why(store, run) == {"build": "waits for group `g`: held by run 1 (job `build`)"}
    assert whole(store, run) == "`build` waits for group `g`: held by run 1 (job `build`)"


def test_what_has_ended_or_belongs_to_a_process_waits_for_nobody(store: Store) -> None:
    assert why(store, submit(store, process=queue.process_identity())) == {}
    run = submit(store)
    queue.cancel(store, run, NOW)
    assert why(store, run) == {}


def test_progress_counts_steps(store: Store) -> None:
    steps = {"steps": [{"run": "a"}, {"run": "b"}, {"run": "c"}]}
    run = submit(store, pipeline(build=steps, test={"needs": "build"}))

    def percent() -> int:
        return queue.progress(store, hot.load_run(store.notes, run)).percent

    held = lease(store)
    assert percent() == 0
    for step in (0, 1):
        outcome: Mapping[str, Any] = {"outcome": "success", "conclusion": "success"}
        store.record(
            StepFinished(
                run=run, time=NOW, job="build", attempt=1, step=step, id="", name="a", **outcome
            )
        )
    assert percent() == 25
    queue.finish(store, held, JobOutcome("success"), NOW)
    assert percent() == 75
    queue.finish(store, lease(store), JobOutcome("success"), NOW)
    assert percent() == 100


# -- quotas --


def test_who_has_had_all_runs_of_the_day_is_refused(store: Store) -> None:
    limits.change(store.promises, Scope("owner", "ann", per_day=2, refuses=True), NOW)
    submit(store, owner="ann")
    lease(store)
    submit(store, owner="ann")
    with pytest.raises(RefusedError, match="owner:ann has had its 2 runs of today: 1 started, 1"):
        submit(store, owner="ann")
    assert submit(store, owner="bob") == 3
    assert submit(store, ONE, NOW + 2 * 86400, owner="ann") == 4


def test_of_a_batch_over_the_quota_nothing_is_taken(store: Store) -> None:
    limits.change(store.promises, Scope("owner", "ann", per_day=2, refuses=True), NOW)
    with pytest.raises(RefusedError, match="0 started, 0 wait, 3 come"):
        queue.enqueue_all(store, [entry(owner="ann")] * 3, NOW)
    assert census.depths(store.notes) == []
    assert len(set(queue.enqueue_all(store, [entry(owner="ann")] * 2, NOW))) == 2


# -- what the state of the queue is read from --


@pytest.mark.parametrize(
    "question",
    ["_JOBS", "_RUNS", "_ENDED", "_HELD", "_ORDER", "_LEASED"],
)
def test_no_question_about_the_queue_looks_at_all_that_has_ended(
    tmp_path: Path, question: str
) -> None:
    sql = f"EXPLAIN QUERY PLAN {getattr(census, question)}"
    with Store.open(tmp_path) as store, store.notes.reading() as database:
        found = database.execute(sql, {"since": NOW, "private": ""}).fetchall()
    steps = [str(row["detail"]) for row in found]
    partial = ("run_open", "run_ended", "job_held", "job_ready", "job_leased")
    assert any(f"INDEX {name}" in steps[0] for name in partial), steps
    assert not [step for step in steps[1:] if step.startswith("SCAN")], steps


def test_depth_and_flow(store: Store) -> None:
    limits.change(store.promises, Scope("queue", "slow", maximum=1), NOW)
    for queue_ in ("default", "slow", "slow"):
        submit(store, CHAIN, queue=queue_)
    submit(store, ONE, NOW + 60)
    for _ in range(2):
        lease(store)
    assert queue.lease(store, "me", now=NOW) == []
    default, slow = census.depths(store.notes)
    assert (default.running, default.waiting, default.later, default.runs_running) == (1, 2, 1, 1)
    assert (slow.running, slow.held, slow.waiting, slow.oldest) == (1, 1, 4, NOW)
    queue.cancel(store, 3, NOW)
    flow = census.flow(store.notes, NOW - 60)
    assert (dict(flow.ended), flow.median, flow.failure_rate) == ({"cancelled": 1}, None, None)
