"""The queue: what is leased when, what follows a result, and that no job is lost or done twice."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.errors import InvalidInputError, PipeError
from runner.events import Event, JobFinished, JobQueued, RunFinished, RunStarted
from runner.plan import plan
from runner.queue import JobOutcome, Lease, LeaseLostError, Submission
from runner.store import Store, hot, reads
from runner.store.connection import Connection, Database
from runner.store.rows import StoredRun
from runner.store.sqlite import SqliteFile

CONTEXTS: Mapping[str, Any] = {"github": {"ref": "main"}, "inputs": {}, "vars": {}}
SUCCESS = JobOutcome("success")
FAILURE = JobOutcome("failure")
NOTHING: Mapping[str, JobOutcome] = {}


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def pipeline(**jobs: Mapping[str, Any]) -> str:
    """The text of a pipeline with these jobs; JSON is YAML."""
    step = {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}
    return json.dumps({"on": "push", "jobs": {id_: step | dict(job) for id_, job in jobs.items()}})


ONE = pipeline(build={})
CHAIN = pipeline(build={}, test={"needs": "build"}, ship={"needs": "test"})
WIDE = pipeline(**{f"job{n}": {} for n in range(40)})
CLEANED = pipeline(build={}, test={"needs": "build"}, clean={"needs": "test", "if": "always()"})
NEVER = pipeline(build={"if": "false"}, test={"needs": "build"})
LEGS = pipeline(build={"strategy": {"matrix": {"n": [1, 2, 3]}}})
LATE_LEGS = pipeline(
    list={},
    build={
        "needs": "list",
        "strategy": {"matrix": {"n": "${{ fromJSON(needs.list.outputs.all) }}"}},
    },
    ship={"needs": "build"},
)


def submit(
    store: Store,
    text: str,
    now: float = 1.0,
    reused: Mapping[str, JobOutcome] = NOTHING,
    **changes: Any,
) -> int:
    values = {"file": "ci.yaml", "project": "/project", "name": "CI", "contexts": CONTEXTS}
    submission = Submission(**{**values, "text": text, **changes})
    first = plan(queue.load_pipeline(submission.file, text), submission.contexts)
    return queue.enqueue(store, submission, first, now, reused)


def lease(store: Store, now: float = 2.0, **changes: Any) -> Lease:
    [found] = queue.lease(store, "me", now=now, **changes)
    return found


def finish(store: Store, outcome: JobOutcome = SUCCESS, now: float = 3.0) -> list[Event]:
    """Leases the next job and ends it."""
    return queue.finish(store, lease(store, now), outcome, now)


def states(store: Store, run: int = 1) -> dict[str, str]:
    """How far each job is: its result, or else its state."""
    jobs = hot.load_run(store.notes, run).jobs.values()
    return {job.key: job.result or job.state for job in jobs}


def told(events: Sequence[Event]) -> list[str]:
    """Events in short: `queued build`, `success build`, `success`."""
    return [text for event in events if (text := in_short(event))]


def in_short(event: Event) -> str:
    match event:
        case JobQueued():
            return f"queued {event.job}"
        case JobFinished():
            return f"{event.result} {event.job}"
        case RunFinished():
            return event.result
        case RunStarted():
            return "started"
    return type(event).__name__


def recorded(store: Store, run: int = 1) -> list[str]:
    return told([event for _, event in store.events(run)])


# -- from entering to the end --


def test_a_run_with_one_job(store: Store) -> None:
    assert submit(store, ONE) == 1
    assert (states(store), recorded(store)) == ({"build": "queued"}, ["queued build"])
    found = lease(store, now=2.0)
    assert (found.run, found.key, found.job, found.attempt) == (1, "build", "build", 1)
    assert found.deadline == 2.0 + queue.LEASE_SECONDS
    assert found.events == (RunStarted(run=1, time=2.0, name="CI", file="ci.yaml", jobs=1),)
    assert found.states["build"].state == "running"
    assert found.planned.key == "build"
    assert queue.lease(store, "me", now=2.0) == []
    events = queue.finish(store, found, JobOutcome("success", {"a": "b"}), 3.0)
    assert events == [
        JobFinished(
            run=1, time=3.0, job="build", name="build", result="success", outputs={"a": "b"}
        ),
        RunFinished(run=1, time=3.0, result="success"),
    ]
    assert recorded(store) == ["queued build", "started", "success build", "success"]
    detail = reads.run(store, 1)
    assert (detail.run.state, detail.run.result, detail.run.finished_at) == (
        *("finished", "success"),
        3.0,
    )
    [attempt] = detail.attempts
    assert (attempt.result, attempt.started_at, attempt.finished_at) == ("success", 2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "outcomes", "expected"),
    [
        (CHAIN, ["success"] * 3, {"build": "success", "test": "success", "ship": "success"}),
        (CHAIN, ["failure"], {"build": "failure", "test": "skipped", "ship": "skipped"}),
        (CHAIN, ["success", "cancelled"], {"build": "success", "test": "cancelled", "ship": "skipped"}),
        (CLEANED, ["failure", "success"], {"build": "failure", "test": "skipped", "clean": "success"}),
        (LEGS, ["success"] * 3, dict.fromkeys(["build (1)", "build (2)", "build (3)"], "success")),
        (
            LEGS,
            ["failure"],
            {"build (1)": "failure", "build (2)": "cancelled", "build (3)": "cancelled"},
        ),
        (NEVER, [], {"build": "skipped", "test": "skipped"}),
        (pipeline(odd={"if": "fromJSON('no')"}), [], {"odd": "failure"}),
    ],
)  # fmt: skip
def test_how_runs_end(
    store: Store, text: str, outcomes: list[Any], expected: dict[str, str]
) -> None:
    submit(store, text)
    for outcome in outcomes:
        finish(store, JobOutcome(outcome))
    assert queue.lease(store, "me", now=9.0) == []
    assert states(store) == expected
    results = set(expected.values())
    run = reads.run(store, 1).run
    assert (run.state, run.result) == (
        "finished",
        next((bad for bad in ("failure", "cancelled") if bad in results), "success"),
    )
    assert recorded(store)[-1] == run.result


def test_a_run_of_which_no_job_runs_begins_when_it_ends(store: Store) -> None:
    submit(store, NEVER)
    assert recorded(store) == ["started", "skipped build", "skipped test", "success"]
    run = reads.run(store, 1).run
    assert run.started_at == run.finished_at
    started = next(event for _, event in store.events(1))
    assert isinstance(started, RunStarted)
    assert (started.name, started.file, started.jobs) == ("CI", "ci.yaml", 2)


def test_events_come_in_the_order_of_what_follows_from_what(store: Store) -> None:
    submit(store, CLEANED)
    assert told(finish(store, FAILURE)) == ["failure build", "skipped test", "queued clean"]
    assert told(finish(store)) == ["success clean", "failure"]


def test_why_a_job_failed_without_running_is_told(store: Store) -> None:
    submit(store, pipeline(odd={"if": "fromJSON('no')"}))
    [job] = reads.run(store, 1).jobs
    assert "if" in job.reason


def test_a_matrix_that_becomes_known_later(store: Store) -> None:
    submit(store, LATE_LEGS)
    assert states(store) == {"list": "queued", "build": "blocked", "ship": "blocked"}
    events = finish(store, JobOutcome("success", {"all": '["a", "b"]'}))
    assert told(events) == ["success list", "queued build (1)", "queued build (2)"]
    assert list(states(store)) == ["list", "build (1)", "build (2)", "ship"]
    found = lease(store)
    assert (found.key, found.planned.matrix) == ("build (1)", {"n": "a"})
    assert found.states["list"].outputs == {"all": '["a", "b"]'}
    queue.finish(store, found, SUCCESS, 4.0)
    finish(store)
    assert lease(store).key == "ship"


def test_a_limit_of_parallel_legs(store: Store) -> None:
    strategy = {"matrix": {"n": [1, 2, 3]}, "max-parallel": 2}
    submit(store, pipeline(build={"strategy": strategy}))
    first, _ = queue.lease(store, "me", now=2.0, limit=9)
    assert told(queue.finish(store, first, SUCCESS, 3.0)) == [
        "success build (1)",
        "queued build (3)",
    ]


def test_a_soft_failure_frees_what_needs_it(store: Store) -> None:
    submit(store, CHAIN)
    finish(store, JobOutcome("failure", failed_softly=True))
    assert states(store)["test"] == "queued"


# -- what is taken over from an earlier run --


def reused(outputs: Mapping[str, str] | None = None) -> JobOutcome:
    return JobOutcome("success", outputs or {}, "reused from run 7")


def test_what_is_reused_has_ended_when_the_run_enters(store: Store) -> None:
    submit(store, CHAIN, reused={"build": reused({"a": "b"})})
    assert states(store) == {"build": "success", "test": "queued", "ship": "blocked"}
    assert [event for _, event in store.events(1)] == [
        JobFinished(
            run=1,
            time=1.0,
            job="build",
            name="build",
            result="success",
            reason="reused from run 7",
            outputs={"a": "b"},
        ),
        JobQueued(run=1, time=1.0, job="test", name="test"),
    ]
    job, *_ = reads.run(store, 1).jobs
    assert (job.result, job.reason, job.finished_at) == ("success", "reused from run 7", 1.0)
    assert lease(store).states["build"].outputs == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        (
            CHAIN,
            ["build", "test"],
            {"build": "success", "test": "success", "ship": "queued"},
        ),
        (
            LEGS,
            ["build (1)", "build (3)"],
            {"build (1)": "success", "build (2)": "queued", "build (3)": "success"},
        ),
        (
            pipeline(build={"strategy": {"matrix": {"n": [1, 2, 3]}, "max-parallel": 1}}),
            ["build (1)"],
            {"build (1)": "success", "build (2)": "queued", "build (3)": "blocked"},
        ),
        (
            LATE_LEGS,
            ["list", "build (1)"],
            {"list": "success", "build (1)": "success", "build (2)": "queued", "ship": "blocked"},
        ),
        (NEVER, ["build", "test"], {"build": "skipped", "test": "skipped"}),
        (ONE, ["build"], {"build": "success"}),
    ],
)
def test_what_is_reused_does_not_run(
    store: Store, text: str, keys: list[str], expected: dict[str, str]
) -> None:
    outputs = {"all": '["a", "b"]'}
    submit(store, text, reused={key: reused(outputs) for key in keys})
    assert states(store) == expected
    waiting = "queued" in expected.values()
    assert reads.run(store, 1).run.state == ("queued" if waiting else "finished")


def test_what_is_reused_ends_in_the_order_given(store: Store) -> None:
    submit(store, LEGS, reused={f"build ({n})": reused({"n": str(n)}) for n in (3, 1, 2)})
    jobs = sorted(hot.load_run(store.notes, 1).jobs.values(), key=lambda job: job.finished_order)
    assert [job.key for job in jobs] == ["build (3)", "build (1)", "build (2)"]


# -- what a run is made of --


def test_numbers_of_runs_are_known_to_expressions_and_to_the_lease(store: Store) -> None:
    submit(store, ONE, file="other.yaml")
    job = {"if": "github.run_id == '2' && github.run_number == '1' && github.ref == 'main'"}
    assert submit(store, pipeline(build=job)) == 2
    found = lease(store, run=2)
    assert found.submission.contexts["github"] == {
        "ref": "main",
        "run_id": "2",
        "run_number": "1",
        "run_attempt": "1",
    }


@pytest.mark.parametrize(
    "contexts", [{**CONTEXTS, "secrets": {"A": "b"}}, {**CONTEXTS, "github": {"token": "abc"}}]
)
def test_secrets_are_not_stored(store: Store, contexts: dict[str, Any]) -> None:
    first = plan(queue.load_pipeline("ci.yaml", ONE), CONTEXTS)
    submission = Submission(
        file="ci.yaml", text=ONE, project="/project", name="CI", contexts=contexts
    )
    with pytest.raises(PipeError, match="must not be stored"):
        queue.enqueue(store, submission, first, 1.0)
    assert reads.runs(store) == []


def test_a_pipeline_that_passed_its_checks_is_not_checked_again() -> None:
    code = (
        "import sys; from runner import queue; queue.load_pipeline('ci.yaml', sys.argv[1]);"
        "print('jsonschema' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, CHAIN], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"


# -- order --


def test_older_runs_and_higher_priorities_come_first(store: Store) -> None:
    for priority in (0, 0, 50, 100, 50):
        submit(store, ONE, priority=priority)
    leases = queue.lease(store, "me", now=2.0, limit=9)
    assert [found.run for found in leases] == [4, 3, 5, 1, 2]


def test_jobs_of_a_run_are_leased_in_the_order_of_its_plan(store: Store) -> None:
    submit(store, WIDE)
    leases = queue.lease(store, "me", now=2.0, limit=99)
    assert [found.key for found in leases] == [f"job{n}" for n in range(40)]
    assert [len(found.events) for found in leases] == [1] + [0] * 39


def test_a_run_of_a_process_is_leased_by_its_number_alone(store: Store) -> None:
    mine = submit(store, ONE, process=queue.process_identity())
    theirs = submit(store, ONE)
    assert [found.run for found in queue.lease(store, "me", now=2.0, limit=9)] == [theirs]
    assert [found.run for found in queue.lease(store, "me", now=2.0, run=mine, limit=9)] == [mine]


# -- leases --


def test_a_lease_is_renewed_until_it_is_lost(store: Store) -> None:
    submit(store, ONE)
    found = lease(store)
    assert queue.renew(store, found, now=20.0)
    [job] = reads.run(store, 1).jobs
    assert job.lease_until == 20.0 + queue.LEASE_SECONDS
    queue.finish(store, found, SUCCESS, 21.0)
    assert not queue.renew(store, found, now=22.0)


def test_a_result_counts_once(store: Store) -> None:
    submit(store, ONE)
    found = lease(store)
    queue.finish(store, found, SUCCESS, 3.0)
    before = recorded(store)
    with pytest.raises(LeaseLostError):
        queue.finish(store, found, FAILURE, 4.0)
    assert (recorded(store), states(store)) == (before, {"build": "success"})


def test_a_late_result_with_an_old_token_is_refused(store: Store) -> None:
    submit(store, ONE)
    old = lease(store)
    queue.finish(store, old, JobOutcome("failure", retry_after=0.0), 3.0)
    new = lease(store, now=4.0)
    assert (old.token, new.token, new.attempt) == ("me/1", "me/2", 2)
    with pytest.raises(LeaseLostError):
        queue.finish(store, old, SUCCESS, 5.0)
    assert not queue.renew(store, old, now=5.0)
    queue.finish(store, new, SUCCESS, 6.0)
    assert [attempt.result for attempt in reads.run(store, 1).attempts] == ["failure", "success"]


# -- retry --


def test_another_attempt_after_a_delay(store: Store) -> None:
    submit(store, CHAIN)
    outcome = JobOutcome("failure", reason="exit code 1", retry_after=10.0)
    events = queue.finish(store, lease(store), outcome, 3.0)
    name: dict[str, Any] = {"run": 1, "time": 3.0, "job": "build", "name": "build"}
    assert events == [
        JobFinished(**name, attempt=1, result="failure", reason="exit code 1", final=False),
        JobQueued(**name, attempt=2, delay=10.0),
    ]
    assert (states(store)["build"], queue.next_due(store, 1)) == ("scheduled", 13.0)
    assert queue.lease(store, "me", now=12.9) == []
    found = lease(store, now=13.0)
    assert (found.key, found.attempt, queue.next_due(store, 1)) == ("build", 2, None)
    queue.finish(store, found, SUCCESS, 14.0)
    assert states(store) == {"build": "success", "test": "queued", "ship": "blocked"}
    assert [(a.number, a.result, a.reason) for a in reads.run(store, 1).attempts] == [
        (1, "failure", "exit code 1"),
        (2, "success", ""),
    ]


def test_a_leg_that_is_tried_again_does_not_cancel_its_siblings(store: Store) -> None:
    submit(store, LEGS)
    queue.finish(store, lease(store), JobOutcome("failure", retry_after=5.0), 3.0)
    assert states(store) == {
        "build (1)": "scheduled",
        "build (2)": "queued",
        "build (3)": "queued",
    }


def test_a_job_that_was_told_to_stop_is_not_tried_again(store: Store) -> None:
    submit(store, ONE)
    found = lease(store)
    queue.cancel(store, 1, 3.0)
    queue.finish(store, found, JobOutcome("cancelled", retry_after=0.0), 4.0)
    assert states(store) == {"build": "cancelled"}


# -- cancelling --


def test_cancelling_a_run_that_nobody_works_on(store: Store) -> None:
    submit(store, CHAIN)
    assert told(queue.cancel(store, 1, 2.0)) == [
        "cancelled build",
        "cancelled test",
        "cancelled ship",
        "cancelled",
    ]
    assert queue.cancelled(store, 1)
    assert queue.lease(store, "me", now=3.0) == []
    assert queue.cancel(store, 1, 3.0) == []


def test_cancelling_a_run_tells_its_workers(store: Store) -> None:
    submit(store, CHAIN)
    found = lease(store)
    assert not queue.cancelled(store, 1)
    assert queue.cancel_requests(store, "me") == []
    assert told(queue.cancel(store, 1, 3.0)) == ["cancelled test", "cancelled ship"]
    assert queue.cancelled(store, 1)
    assert queue.cancel_requests(store, "me") == [(1, "build")]
    assert queue.cancel_requests(store, "another") == []
    assert queue.cancel(store, 1, 3.5) == []
    assert told(queue.finish(store, found, JobOutcome("cancelled"), 4.0)) == [
        "cancelled build",
        "cancelled",
    ]
    assert queue.cancel_requests(store, "me") == []


def test_what_runs_always_runs_in_a_cancelled_run_too(store: Store) -> None:
    submit(store, CLEANED)
    assert told(queue.cancel(store, 1, 2.0)) == [
        "cancelled build",
        "cancelled test",
        "queued clean",
    ]
    assert told(finish(store)) == ["success clean", "cancelled"]


def test_a_failed_leg_stops_its_siblings(store: Store) -> None:
    submit(store, LEGS)
    first, second = queue.lease(store, "me", now=2.0, limit=2)
    events = queue.finish(store, first, FAILURE, 3.0)
    assert told(events) == ["failure build (1)", "cancelled build (3)"]
    assert not queue.cancelled(store, 1)
    assert queue.cancel_requests(store, "me") == [(1, "build (2)")]
    queue.finish(store, second, JobOutcome("cancelled"), 4.0)
    assert reads.run(store, 1).run.result == "failure"


def test_cancelling_a_run_that_waits_for_its_next_attempt(store: Store) -> None:
    submit(store, ONE)
    queue.finish(store, lease(store), JobOutcome("failure", retry_after=60.0), 3.0)
    assert told(queue.cancel(store, 1, 4.0)) == ["cancelled build", "cancelled"]
    assert queue.next_due(store, 1) is None


def test_cancelling_a_run_that_does_not_exist(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="there is no run 7"):
        queue.cancel(store, 7, 1.0)
    assert not queue.cancelled(store, 7)


# -- processes that die --

CHILD = """
import json, os, sys
from pathlib import Path
from runner import queue
from runner.plan import plan
from runner.store import Store

store = Store.open(Path(sys.argv[1]), os.environ.get("PIPE_DATABASE_URL", ""))
text = sys.argv[2]
contexts = {"github": {}, "inputs": {}, "vars": {}}
first = plan(queue.load_pipeline("ci.yaml", text), contexts)

def submit(owner):
    values = {"file": "ci.yaml", "text": text, "project": "/project", "name": "CI"}
    submission = queue.Submission(**values, contexts=contexts, process=owner)
    return queue.enqueue(store, submission, first, 1.0)
"""
DIES_WHILE_WORKING = (
    CHILD
    + """
run = submit(queue.process_identity())
[lease] = queue.lease(store, "child", run=run, now=2.0)
print(lease.key, flush=True)
sys.stdin.read()
"""
)
ENQUEUES = (
    CHILD
    + """
sys.stdin.readline()
print(json.dumps([submit("") for _ in range(50)]))
"""
)
WORKS = (
    CHILD
    + """
sys.stdin.readline()
done = []
while leases := queue.lease(store, sys.argv[3], now=2.0):
    done += [[lease.run, lease.key] for lease in leases]
    for lease in leases:
        queue.finish(store, lease, queue.JobOutcome("success"), 3.0)
print(json.dumps(done))
"""
)
DIES_ANYWHERE = (
    CHILD
    + """
while True:
    print("enqueued", submit(""), flush=True)
    for lease in queue.lease(store, sys.argv[3], now=2.0, limit=2):
        queue.finish(store, lease, queue.JobOutcome("success"), 3.0)
        print("finished", lease.run, lease.key, flush=True)
"""
)


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def together(processes: Sequence[subprocess.Popen[str]]) -> list[Any]:
    """Lets them begin at the same moment; returns what each of them printed, which is JSON."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate()[0]) for process in processes]


def test_a_run_whose_process_was_killed_is_lost(store: Store) -> None:
    with start(DIES_WHILE_WORKING, store.home, CHAIN) as child:
        assert child.stdout
        assert child.stdout.readline() == "build\n"
        found = hot.load_run(store.notes, 1)
        assert queue.rescue(store, 3.0) == []
        assert states(store)["build"] == "running"
        child.kill()
    events = queue.rescue(store, 4.0)
    assert told(events) == ["failure build", "skipped test", "skipped ship", "failure"]
    assert {event.reason for event in events if isinstance(event, JobFinished | RunFinished)} == {
        "lost"
    }
    assert recorded(store)[-4:] == told(events)
    detail = reads.run(store, 1)
    assert (detail.run.state, detail.run.result, detail.run.reason) == (
        *("finished", "failure"),
        "lost",
    )
    assert [(a.result, a.reason, a.finished_at) for a in detail.attempts] == [
        ("failure", "lost", 4.0)
    ]
    assert queue.rescue(store, 5.0) == []
    late = lease_of(found, "build")
    with pytest.raises(LeaseLostError):
        queue.finish(store, late, SUCCESS, 6.0)


def lease_of(run: StoredRun, key: str) -> Lease:
    """The lease that whoever runs this job holds."""
    job = run.jobs[key]
    planned = next(planned for planned in run.plan.jobs if planned.key == key)
    return Lease(
        run.id, key, job.job, job.attempt, 0, 0, job.token, 0.0, run.submission, planned, (), {}
    )


def test_a_run_that_waited_when_its_process_was_killed_is_lost(store: Store) -> None:
    gone = queue.process_identity().replace(f"{os.getpid()}:", "999999999:", 1)
    submit(store, CHAIN, process=gone)
    assert told(queue.rescue(store, 4.0)) == [
        "failure build",
        "skipped test",
        "skipped ship",
        "failure",
    ]


def test_a_run_of_another_container_is_lost_when_its_lease_has_ended_for_long(store: Store) -> None:
    pid, start_time, boot = queue.process_identity().split(":")
    elsewhere = f"{pid}:{start_time}:{boot.partition('/')[0]}/1"
    submit(store, ONE, now=1.0, process=elsewhere)
    assert queue.rescue(store, 1.0 + queue.LEASE_SECONDS) == []
    found = lease(store, now=2.0, run=1)
    assert queue.renew(store, found, now=100.0)
    assert queue.rescue(store, found.deadline + 2 * queue.LEASE_SECONDS) == []
    gone = 100.0 + 2 * queue.LEASE_SECONDS + 0.1
    assert told(queue.rescue(store, gone)) == ["failure build", "failure"]


def test_runs_that_belong_to_the_queue_or_a_live_process_are_left_alone(store: Store) -> None:
    submit(store, ONE)
    submit(store, ONE, process=queue.process_identity())
    queue.lease(store, "me", now=2.0, limit=9)
    assert queue.rescue(store, 1000.0) == []


# -- many at once --


def test_processes_that_enqueue_together(store: Store) -> None:
    runs = together([start(ENQUEUES, store.home, ONE) for _ in range(2)])
    assert sorted(runs[0] + runs[1]) == list(range(1, 101))
    found = reads.runs(store, limit=200)
    assert sorted(run.run_number for run in found) == list(range(1, 101))
    assert {number: recorded(store, number) for number in range(1, 101)} == {
        number: ["queued build"] for number in range(1, 101)
    }


def test_processes_that_work_together(store: Store) -> None:
    for _ in range(10):
        submit(store, CHAIN)
    done = together([start(WORKS, store.home, CHAIN, name) for name in ("a", "b")])
    # One of them may find nothing while the other holds the last job that could be had.
    while leases := queue.lease(store, "me", now=4.0):
        queue.finish(store, leases[0], SUCCESS, 5.0)
        done.append([[leases[0].run, leases[0].key]])
    jobs = Counter((run, key) for some in done for run, key in some)
    expected = [(run, key) for run in range(1, 11) for key in ("build", "test", "ship")]
    assert jobs == Counter(expected)
    assert {run.result for run in reads.runs(store)} == {"success"}


def test_threads_never_lease_the_same_job(store: Store) -> None:
    submit(store, WIDE)
    leases: list[Lease] = []

    def work(worker: str) -> None:
        while found := queue.lease(store, worker, now=2.0):
            leases.extend(found)
            for each in found:
                queue.finish(store, each, SUCCESS, 3.0)

    in_threads(work, [f"worker{n}" for n in range(6)])
    assert sorted(found.key for found in leases) == sorted(f"job{n}" for n in range(40))
    assert recorded(store).count("success") == 1
    assert reads.run(store, 1).run.result == "success"


def in_threads(work: Callable[[Any], object], arguments: Sequence[Any]) -> None:
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_results_that_come_together_are_all_kept(store: Store) -> None:
    text = pipeline(
        **{f"job{n}": {} for n in range(8)}, last={"needs": [f"job{n}" for n in range(8)]}
    )
    submit(store, text)
    leases = queue.lease(store, "me", now=2.0, limit=8)
    in_threads(lambda found: queue.finish(store, found, SUCCESS, 3.0), leases)
    assert states(store)["last"] == "queued"
    assert recorded(store).count("queued last") == 1


def test_a_decision_about_a_run_that_changed_meanwhile_is_made_again(
    store: Store, database_url: str
) -> None:
    submit(store, LEGS)
    first = replace(lease(store), stored=None)
    with (
        Store.open(store.home, database_url) as another,
        Store.open(store.home, database_url) as ours,
    ):
        ours.notes = LeasesMeanwhile(ours.notes, another)
        events = queue.finish(ours, first, FAILURE, 3.0)
    assert told(events) == ["failure build (1)", "cancelled build (3)"]
    assert queue.cancel_requests(store, "another") == [(1, "build (2)")]


def test_a_run_that_changed_since_it_was_leased_is_read_again(store: Store) -> None:
    submit(store, LEGS)
    first, second = lease(store), lease(store)
    assert told(queue.finish(store, second, SUCCESS, 3.0)) == ["success build (2)"]
    assert told(queue.finish(store, first, FAILURE, 3.0)) == [
        "failure build (1)",
        "cancelled build (3)",
        "failure",
    ]


class LeasesMeanwhile:
    """After the first time that something was read through it, another worker leases a job."""

    def __init__(self, connection: Connection, another: Store) -> None:
        self._connection = connection
        self._another: Store | None = another
        self.writing, self.touching = connection.writing, connection.touching
        self.close = connection.close

    @contextmanager
    def reading(self) -> Iterator[Database]:
        with self._connection.reading() as database:
            yield database
        if self._another:
            another, self._another = self._another, None
            assert queue.lease(another, "another", now=2.5)


def check_integrity(store: Store) -> None:
    """That the file is sound; a server sees to that itself."""
    if isinstance(store.location, SqliteFile):
        with store.notes.reading() as database:
            found = database.execute("PRAGMA integrity_check").fetchall()
            assert [tuple(row) for row in found] == [("ok",)]


@pytest.mark.parametrize("kills", [4])
def test_what_was_acknowledged_survives_sigkill(store: Store, kills: int) -> None:
    acknowledged: list[list[str]] = []
    for number in range(kills):
        with start(DIES_ANYWHERE, store.home, CHAIN, f"worker{number}") as child:
            assert child.stdout
            lines = [child.stdout.readline() for _ in range(30 + 7 * number)]
            child.kill()
            lines += child.stdout.readlines()
        acknowledged += [line.split() for line in lines if line.endswith("\n")]
    finished = [(int(run), key) for word, run, key in (a for a in acknowledged if len(a) == 3)]
    assert len(set(finished)) == len(finished) > 20
    for run, key in finished:
        assert states(store, run)[key] == "success"
        assert recorded(store, run).count(f"success {key}") == 1
    entered = [int(line[1]) for line in acknowledged if line[0] == "enqueued"]
    assert len(set(entered)) == len(entered)
    for run in entered:
        assert recorded(store, run)[0] == "queued build"
    check_integrity(store)
