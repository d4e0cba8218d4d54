"""How runs come into the queue: all or none, once for a key, at their time."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.errors import InvalidInputError, PipeError
from runner.events import JobFinished, RunFinished
from runner.store import Store, hot, lines, reads
from tests.queued import NOON, ends, entry, held, limit, register, runs_of, submit, take, work_off
from tests.test_queue import ONE, pipeline, recorded, states

GROUP = json.dumps({**json.loads(ONE), "concurrency": {"group": "g", "queue": "max"}})
NAMELESS = json.dumps({**json.loads(ONE), "concurrency": "${{ inputs.none }}"})


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


# -- what a run takes over --


def test_what_is_reused_counts_also_when_its_run_enters_later(store: Store) -> None:
    """Behind its group, or at its time: whoever lets it go on knows nothing of its entry."""
    text = json.dumps(
        {**json.loads(pipeline(a={}, b={"needs": "a"})), "concurrency": {"group": "g"}}
    )
    holder = submit(store, text)
    again = queue.reused(7, {"x": "1"})
    behind = replace(entry(text), reused={"a": again})
    later = replace(entry(due_at=NOON + 10), reused={"build": again})
    waiting, delayed = queue.enqueue_all(store, [behind, later], NOON)
    queue.cancel(store, holder, NOON)
    queue.tend(store, NOON + 10)
    assert states(store, waiting) == {"a": "success", "b": "queued"}
    assert hot.load_run(store.notes, waiting).jobs["a"].outputs == {"x": "1"}
    assert ends(store)[delayed] == ("success", "")
    assert [job.reused_from for job in finished(store, waiting)] == [7]


def finished(store: Store, run: int) -> list[JobFinished]:
    return [event for _, event in store.events(run) if isinstance(event, JobFinished)]


# -- several at once --


def test_runs_enter_together_in_their_order(store: Store) -> None:
    submit(store, file="a.yaml")
    files = ["a.yaml", "b.yaml", "a.yaml"]
    runs = queue.enqueue_all(store, [entry(file=file) for file in files], NOON)
    assert runs == [2, 3, 4]
    found = [hot.load_run(store.notes, run) for run in runs]
    assert [run.run_number for run in found] == [2, 1, 3]
    assert [run.submission.contexts["github"]["run_number"] for run in found] == ["2", "1", "3"]
    assert runs_of(take(store)) == [1, *runs]


def test_nothing_enters_when_one_of_them_cannot(store: Store) -> None:
    entries = [entry(), entry(NAMELESS), entry()]
    with pytest.raises(InvalidInputError, match="name of the group is empty"):
        queue.enqueue_all(store, entries, NOON)
    assert (ends(store), take(store)) == ({}, [])
    assert submit(store) == 1


def test_what_could_not_start_later_is_refused_now(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="name of the group is empty"):
        submit(store, NAMELESS, due_at=NOON + 10)
    assert ends(store) == {}


@pytest.mark.parametrize("contexts", [{"secrets": {}}, {"github": {"token": "x"}}])
def test_secrets_are_never_stored(store: Store, contexts: dict[str, Any]) -> None:
    bad = entry()
    bad = queue.Entry(
        queue.Submission(file="x", text=ONE, project="/p", name="x", contexts=contexts), bad.plan
    )
    with pytest.raises(PipeError, match="must not be stored"):
        queue.enqueue_all(store, [entry(), bad], NOON)
    assert ends(store) == {}


def test_nobody_to_enter_is_no_error(store: Store) -> None:
    assert queue.enqueue_all(store, [], NOON) == []


def test_runs_of_one_group_stand_in_line_in_their_order(store: Store) -> None:
    runs = queue.enqueue_all(store, [entry(GROUP) for _ in range(3)], NOON)
    assert work_off(store) == runs


def test_many_at_once(store: Store) -> None:
    runs = queue.enqueue_all(store, [entry() for _ in range(300)], NOON)
    assert runs == list(range(1, 301))
    assert work_off(store) == runs


# -- keys --


def test_a_key_gives_the_same_run_however_often(store: Store) -> None:
    first = submit(store, submission_key="k")
    work_off(store)
    assert submit(store, submission_key="k") == first
    assert submit(store, submission_key="k", project="/q") != first
    assert submit(store, submission_key="other") != first
    assert submit(store) != first


def test_a_key_twice_in_one_batch(store: Store) -> None:
    keys = ["a", None, "a", "b", None]
    runs = queue.enqueue_all(store, [entry(submission_key=key) for key in keys], NOON)
    assert runs == [1, 2, 1, 3, 4]
    assert sorted(ends(store)) == [1, 2, 3, 4]
    again = queue.enqueue_all(store, [entry(submission_key=key) for key in ["b", "c"]], NOON)
    assert again == [3, 5]


def test_an_empty_key_is_a_key(store: Store) -> None:
    runs = queue.enqueue_all(store, [entry(), entry(submission_key=""), entry()], NOON)
    assert runs == [1, 2, 3]
    assert submit(store, submission_key="") == 2


#: Says it is ready, and when told, queues a run for each key.
RACES = """\
import json, os, sys
from pathlib import Path
from runner import queue
from runner.store import Store
from tests.queued import NOON, submit

with Store.open(Path(sys.argv[1]), os.environ.get("PIPE_DATABASE_URL", "")) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps([submit(store, submission_key=f"k{n}") for n in range(20)]), flush=True)
"""


def test_processes_that_race_for_a_key_get_one_run(store: Store) -> None:
    command = [sys.executable, "-c", RACES, str(store.home)]
    root = Path(__file__).parent.parent
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    racers = [subprocess.Popen(command, cwd=root, text=True, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert said == [list(range(1, 21))] * 3
    assert sorted(ends(store)) == list(range(1, 21))
    assert max(run.run_number for run in reads.runs(store, limit=99)) == 20


# -- at their time --


def test_a_delayed_run_enters_when_it_is_due(store: Store) -> None:
    run = submit(store, due_at=NOON + 10)
    assert queue.next_time(store) == NOON + 10
    queue.tend(store, NOON + 9)
    assert take(store, now=NOON + 9) == []
    assert recorded(store, run) == []
    queue.tend(store, NOON + 10)
    assert runs_of(take(store, now=NOON + 10)) == [run]
    assert queue.next_time(store) is None


def test_a_time_that_is_over_is_now(store: Store) -> None:
    assert runs_of([*take(store)]) == []
    run = submit(store, due_at=NOON - 10)
    assert runs_of(take(store)) == [run]


def test_a_delayed_run_joins_its_group_when_it_is_due(store: Store) -> None:
    delayed = submit(store, GROUP, due_at=NOON + 10)
    first = submit(store, GROUP)
    assert work_off(store) == [first]
    second = submit(store, GROUP)
    queue.tend(store, NOON + 11)
    assert work_off(store, NOON + 11) == [second, delayed]


def test_a_delayed_run_that_is_cancelled_ends_once_and_for_good(store: Store) -> None:
    run = submit(store, GROUP, due_at=NOON + 10)
    for _ in range(2):
        queue.cancel(store, run, NOON)
    assert ends(store)[run] == ("cancelled", "")
    assert queue.next_time(store) is None
    queue.tend(store, NOON + 20)
    events = [event for _, event in store.events(run)]
    assert [type(event) for event in events] == [JobFinished, RunFinished]
    assert lines.read(store.notes, ("/p", "G")) == ()
    after = submit(store, GROUP)
    assert work_off(store) == [after]


def test_delayed_runs_that_become_due_together_enter_in_order(store: Store) -> None:
    late = submit(store, due_at=NOON + 20)
    early = submit(store, due_at=NOON + 10)
    queue.tend(store, NOON + 30)
    assert work_off(store, NOON + 30) == [early, late]


def test_a_worker_that_drains_waits_for_runs_that_are_due_soon(store: Store) -> None:
    submit(store, due_at=NOON + 600)
    assert not queue.is_open(store, [], NOON)
    submit(store, due_at=NOON + 10)
    assert queue.is_open(store, [], NOON)
    queue.tend(store, NOON + 10)
    assert queue.is_open(store, [], NOON)
    work_off(store, NOON + 10)
    assert not queue.is_open(store, [], NOON)


# -- too late --


def test_a_run_that_waits_for_its_start_for_too_long_dies(store: Store) -> None:
    limit(store, "global", maximum=1)
    running, waiting = submit(store, patience=60.0), submit(store, patience=60.0)
    assert runs_of(take(store)) == [running]
    assert held(store, waiting) == {"global"}
    queue.tend(store, NOON + 59)
    assert ends(store)[waiting] == (None, "")
    queue.tend(store, NOON + 60)
    assert ends(store) == {waiting: ("failure", "expired"), running: (None, "")}


def test_patience_begins_when_a_delayed_run_is_due(store: Store) -> None:
    run = submit(store, due_at=NOON + 100, patience=60.0)
    queue.tend(store, NOON + 100)
    queue.tend(store, NOON + 159)
    assert states(store, run) == {"build": "queued"}
    queue.tend(store, NOON + 160)
    assert ends(store)[run] == ("failure", "expired")


def test_a_run_that_expires_leaves_its_line(store: Store) -> None:
    first = submit(store, GROUP, patience=10.0)
    second = submit(store, GROUP)
    queue.tend(store, NOON + 20)
    assert ends(store)[first] == ("failure", "expired")
    assert work_off(store) == [second]


def test_a_run_that_nobody_could_enter_in_time_is_expired(store: Store) -> None:
    run = submit(store, GROUP, due_at=NOON + 10, patience=5.0)
    queue.tend(store, NOON + 100)
    assert ends(store)[run] == ("failure", "expired")
    assert lines.read(store.notes, ("/p", "G")) == ()


def test_a_run_that_goes_on_for_too_long_is_told_to_stop_and_fails(store: Store) -> None:
    chain = pipeline(build={}, test={"needs": "build"}, clean={"needs": "build", "if": "always()"})
    run = submit(store, chain, time_limit=60.0)
    register(store, "w")
    [build] = take(store, now=NOON + 100)
    assert queue.next_time(store) == NOON + 160
    queue.tend(store, NOON + 159)
    assert queue.cancel_requests(store, "w") == []
    queue.tend(store, NOON + 160)
    assert queue.cancel_requests(store, "w") == [(run, "build")]
    assert queue.next_time(store) is None
    queue.finish(store, build, queue.JobOutcome("cancelled"), NOON + 161)
    # What cleans up still does.
    [clean] = take(store, now=NOON + 162)
    assert clean.key == "clean"
    queue.finish(store, clean, queue.JobOutcome("success"), NOON + 163)
    assert ends(store)[run] == ("failure", "timeout")


def test_a_run_whose_result_came_in_time_keeps_it(store: Store) -> None:
    run = submit(store, time_limit=60.0)
    work_off(store)
    queue.tend(store, NOON + 100)
    assert ends(store)[run] == ("success", "")


def test_a_run_that_somebody_cancelled_before_its_time_was_over_is_cancelled(store: Store) -> None:
    run = submit(store, time_limit=60.0)
    register(store, "w")
    [build] = take(store)
    queue.cancel(store, run, NOON + 1)
    queue.tend(store, NOON + 100)
    queue.finish(store, build, queue.JobOutcome("cancelled"), NOON + 101)
    assert ends(store)[run] == ("cancelled", "")
