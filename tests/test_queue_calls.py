"""Calls in the queue: rows that nobody leases, what is told of them, and what a lease knows."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.events import JobFinished, RunStarted
from runner.plan import plan
from runner.queue import JobOutcome, Submission
from runner.store import Store, hot, reads
from tests.test_queue import CONTEXTS, SUCCESS, finish, lease, pipeline, recorded, states

INNER = json.loads(pipeline(one={}, two={"needs": "one", "outputs": {"said": "x"}}))
INNER["on"] = {
    "workflow_call": {
        "inputs": {"level": {"type": "string"}},
        "outputs": {"said": {"value": "${{ jobs.two.outputs.said }} ${{ inputs.level }}"}},
    }
}
STEPS = {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}
LEVEL = {"level": "${{ needs.first.outputs.all }}"}
CALL = {"uses": "./x.yaml", "needs": "first", "with": LEVEL}


def calling(**jobs: Mapping[str, Any]) -> str:
    return json.dumps({"on": "push", "jobs": jobs})


MAIN = calling(first=STEPS, call=CALL, after={**STEPS, "needs": "call"})


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


CALLED = {"x.yaml": json.dumps(INNER)}


def submit(
    store: Store, text: str = MAIN, called: Mapping[str, str] = CALLED, **reused: JobOutcome
) -> int:
    submission = Submission(
        file="ci.yaml",
        text=text,
        called=called,
        project="/project",
        name="CI",
        contexts=CONTEXTS,
    )
    pipeline = queue.load_pipeline(submission.file, text, submission.called)
    taken = {key.replace("__", " / "): outcome for key, outcome in reused.items()}
    return queue.enqueue(store, submission, plan(pipeline, CONTEXTS), 1.0, taken)


def test_a_call_runs_without_a_worker_until_its_jobs_have_ended(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"all": "full"}))
    assert states(store) == {
        "first": "success",
        "call": "running",
        "call / one": "queued",
        "call / two": "blocked",
        "after": "blocked",
    }
    assert lease(store).key == "call / one"
    assert queue.lease(store, "me", now=2.0) == [], "the call itself is nobody's work"


def test_the_whole_of_it(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"all": "full"}))
    finish(store)
    finish(store, JobOutcome("success", {"said": "hello"}))
    assert lease(store).states["call"].outputs == {"said": "hello full"}
    assert recorded(store) == [
        "queued first",
        "started",
        "success first",
        "queued call / one",
        "success call / one",
        "queued call / two",
        "success call / two",
        "queued after",
    ]
    call = next(job for job in reads.run(store, 1).jobs if job.key == "call")
    assert (call.result, call.worker, json.loads(call.outputs)["said"]) == (
        "success",
        "",
        "hello full",
    )


def test_a_lease_knows_the_calls_that_its_job_is_in(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"all": "full"}))
    found = lease(store)
    assert (found.job, found.planned.name) == ("one", "call / one")
    assert [call.key for call in found.callers] == ["call"]
    assert found.callers[0].inputs == {"level": "full"}
    assert found.submission.called == {"x.yaml": json.dumps(INNER)}


def test_the_number_of_jobs_of_a_run_does_not_count_calls(store: Store) -> None:
    submit(store, calling(first={"uses": "./x.yaml"}, second=STEPS))
    [started] = lease(store).events
    assert isinstance(started, RunStarted)
    assert started.jobs == 3


def test_a_call_that_never_started_is_told_as_a_job(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("failure"))
    assert recorded(store)[-3:] == ["skipped call", "skipped after", "failure"]


def test_a_call_that_fails_by_itself_is_told_with_the_reason(store: Store) -> None:
    submit(store, MAIN.replace("needs.first.outputs.all", "fromJSON('nope')"))
    finish(store)
    [told] = [e for _, e in store.events(1) if isinstance(e, JobFinished) and e.job == "call"]
    assert (told.result, told.reason.partition(":")[0]) == ("failure", "input `level`")


def test_cancelling_ends_the_jobs_in_a_call_and_then_the_call(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"all": "full"}))
    running = lease(store)
    queue.cancel(store, 1, 4.0)
    assert queue.cancel_requests(store, "me") == [(1, "call / one")]
    assert states(store)["call"] == "running"
    queue.finish(store, running, JobOutcome("cancelled"), 5.0)
    assert set(states(store).values()) == {"success", "cancelled"}
    assert recorded(store)[-1] == "cancelled"


def test_what_is_reused_in_a_call_ends_the_call_when_it_is_all_of_it(store: Store) -> None:
    done = JobOutcome("success", {"all": "a", "said": "hi"}, "reused from run 7")
    submit(store, first=done, call__one=done, call__two=done)
    assert states(store)["call"] == "success"
    assert lease(store).key == "after"
    assert hot.load_run(store.notes, 1).jobs["call"].outputs == {"said": "hi a"}


def test_another_attempt_of_a_job_in_a_call(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"all": "full"}))
    finish(store, JobOutcome("failure", retry_after=0.0))
    again = lease(store)
    assert (again.key, again.attempt) == ("call / one", 2)
    queue.finish(store, again, SUCCESS, 6.0)
    assert states(store)["call / two"] == "queued"


def test_a_job_in_a_call_waits_for_its_group_as_the_inputs_name_it(store: Store) -> None:
    inner = json.loads(json.dumps(INNER))
    inner["jobs"]["one"]["concurrency"] = "x-${{ inputs.level }}"
    called = {"x.yaml": json.dumps(inner)}
    text = calling(
        a={"uses": "./x.yaml", "with": {"level": "same"}},
        b={"uses": "./x.yaml", "with": {"level": "same"}},
        c={"uses": "./x.yaml", "with": {"level": "other"}},
    )
    submit(store, text, called)
    assert states(store)["a / one"] == "queued"
    assert states(store)["b / one"] == "blocked"
    assert states(store)["c / one"] == "queued"
    assert [(wait.job, wait.group) for wait in queue.waits(store, 1)] == [("b / one", "x-same")]
    finish(store)
    assert states(store)["b / one"] == "queued"
