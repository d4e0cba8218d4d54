"""A worker's loop over a real store and queue, with an engine that runs tiny scripts in memory."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from runner import queue
from runner.cli.opening import opened_store
from runner.engines.box import (
    NO_STOP,
    BoxFacts,
    BoxSpec,
    EngineError,
    Finished,
    Image,
    Process,
    Progress,
    Stop,
    Workspace,
    Write,
    nowhere,
)
from runner.events import (
    Event,
    JobFinished,
    JobQueued,
    JobStarted,
    Note,
    OutputWritten,
    Result,
    RunFinished,
    RunStarted,
    StepFinished,
)
from runner.execute.policy import Policy
from runner.plan import plan
from runner.queue import JobOutcome, Submission
from runner.queue.happenings import lose
from runner.queue.together import change
from runner.storage import Storage
from runner.store import Store
from runner.worker import Means, Worker, loop

pytestmark = pytest.mark.timeout(30)

CONTEXTS: Mapping[str, Any] = {"github": {"ref": "main"}, "inputs": {}, "vars": {}}
FACTS = BoxFacts("/w", "/c", "/t", "/o", {}, frozenset({"bash", "sh"}))
Kind = TypeVar("Kind", bound=Event)


@dataclass
class MemoryEngine:
    """Runs scripts of its own: one command a line, in the thread that asks.

    `print TEXT`, `output NAME=VALUE`, `exit CODE`; `open GATE` and `wait GATE` for the test and
    other steps; `hang` until it is stopped; `bug`, `gone` for what goes wrong.
    """

    name: str = "memory"
    gates: dict[str, threading.Event] = field(default_factory=dict)
    open_boxes: set[str] = field(default_factory=set)
    most_at_once: int = 0
    closed: dict[str, Result] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """There is always room in memory."""

    def open(
        self,
        spec: BoxSpec,
        progress: Progress,
        *,
        write: Write = nowhere,
        stop: Stop = NO_STOP,
    ) -> "MemoryBox":
        if spec.image.name == "missing":
            raise EngineError("image", "image `missing` is not here")
        with self._lock:
            self.open_boxes.add(spec.job)
            self.most_at_once = max(self.most_at_once, len(self.open_boxes))
        return MemoryBox(self, spec.job)

    def finish(self) -> None:
        """Nothing is left in memory."""

    def gate(self, name: str) -> threading.Event:
        with self._lock:
            return self.gates.setdefault(name, threading.Event())

    def close(self, job: str, result: Result) -> None:
        with self._lock:
            self.open_boxes.discard(job)
            self.closed[job] = result


@dataclass
class MemoryBox:
    """One job's box in memory."""

    engine: MemoryEngine
    job: str
    facts: BoxFacts = FACTS
    _folders: Iterator[int] = field(default_factory=itertools.count)

    def new_folder(self) -> str:
        return f"/c/{next(self._folders)}"

    def run(
        self, process: Process, write: Write, stop: Stop, *, end: Callable[[], None] | None = None
    ) -> Finished:
        files = dict.fromkeys(process.collect, b"")
        [script] = [data for name, data in process.files.items() if name not in process.collect]
        for line in script.decode().splitlines():
            verb, _, rest = line.strip().partition(" ")
            if verb == "print":
                write(f"{rest}\n".encode())
            elif verb == "output":
                files["output"] += f"{rest}\n".encode()
            elif verb == "exit":
                return Finished(int(rest), files)
            elif verb == "open":
                self.engine.gate(rest).set()
            elif verb in ("wait", "hang"):
                gate = self.engine.gate(rest) if rest else threading.Event()
                if reason := _await(gate, stop):
                    return Finished(137 if stop.immediately() else 130, files, reason=reason)
            elif verb == "bug":
                raise RuntimeError("a bug of ours")
            elif verb == "gone":
                raise EngineError("engine", "the engine went away")
        return Finished(0, files)

    def beside(self, image: Image, progress: Progress) -> "MemoryBox":
        return self

    def run_image(
        self,
        image: Image,
        process: Process,
        write: Write,
        stop: Stop,
        *,
        entrypoint: str = "",
        progress: Progress,
        end: Callable[[], None] | None = None,
    ) -> Finished:
        return self.run(process, write, stop, end=end)

    def build_image(
        self,
        context: Path | str,
        dockerfile: str,
        write: Write,
        *,
        build_args: Mapping[str, str] | None = None,
        target: str = "",
    ) -> Image:
        return Image(f"{context}/{dockerfile}", pull="never")

    def bring(self, name: str, folder: Path) -> str:
        return self.path_of(name)

    def bring_program(self, image: Image, program: str, progress: Progress) -> str:
        raise EngineError("memory", "there are no programs in memory")

    def path_of(self, name: str) -> str:
        return f"/github/{name}"

    def read_tree(self, path: str) -> Iterator[bytes]:
        raise FileNotFoundError(path)

    def write_tree(self, path: str, blocks: Iterable[bytes]) -> None:
        raise EngineError("tree", f"nothing can be written to `{path}`")

    def pack(self, cwd: str, paths: Sequence[str], *, follow: bool = False) -> Iterator[bytes]:
        raise EngineError("tree", f"nothing can be read in `{cwd}`")

    def shell(self, process: Process) -> int:
        return 0

    def close(self, result: Result) -> None:
        self.engine.close(self.job, result)


def _await(gate: threading.Event, stop: Stop) -> str:
    while not gate.wait(0.005):
        if reason := stop.reason():
            return reason
    return ""


@dataclass
class Bench:
    """A store, an engine, and what the worker showed."""

    home: Path
    store: Store
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda event: None

    def submit(self, jobs: Mapping[str, Any], **top: Any) -> int:
        """A run with these jobs; a job that is text is the script of its only step."""
        text = json.dumps({"on": "push", **top, "jobs": {k: _job(v) for k, v in jobs.items()}})
        pipeline = queue.load_pipeline("ci.yaml", text)
        limits = pipeline.timeouts
        submission = Submission(
            text=text,
            file="ci.yaml",
            project="/p",
            name="CI",
            contexts=CONTEXTS,
            time_limit=limits.run,
        )
        first = plan(pipeline, submission.contexts)
        now = time.time()
        return queue.enqueue(self.store, submission, first, now, patience=limits.queue)

    def worker(self, slots: int = 4) -> Worker:
        policy = Policy(images={"here": "image", "missing": "missing"})
        means = Means({"docker": self.engine}, Workspace(), policy, {"TOKEN": "hush"})
        return Worker(self.store, Storage(self.home), means, self._show, "worker", slots)

    def work(self, jobs: Mapping[str, Any], slots: int = 4, **top: Any) -> RunFinished:
        return self.worker(slots).work(self.submit(jobs, **top))

    def _show(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def shown(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def told(self) -> list[tuple[str, str]]:
        return [(note.level, note.message) for note in self.shown(Note)]

    def log(self, run: int, job: str, attempt: int = 1) -> str:
        chunks = Storage(self.home).log(run, job, attempt).chunks()
        return b"".join(chunk.data for chunk in chunks).decode()

    def results(self) -> dict[str, str]:
        return {event.job: event.result for event in self.shown(JobFinished) if event.final}


def _job(written: Any) -> Mapping[str, Any]:
    changes = {"steps": [{"run": written}]} if isinstance(written, str) else dict(written)
    if isinstance(changes.get("run"), str):
        changes["steps"] = [{"run": changes.pop("run")}]
    return {"runs-on": "here", "steps": [{"run": "print hello"}], **changes}


@pytest.fixture
def bench(tmp_path: Path, database_url: str) -> Iterator[Bench]:
    with Store.open(tmp_path, database_url) as store:
        yield Bench(tmp_path, store)


# -- from start to end


def test_jobs_run_in_the_order_of_their_needs(bench: Bench) -> None:
    jobs = {
        "ship": {"needs": ["test", "lint"], "run": "print ${{ needs.test.outputs.v }}"},
        "test": {
            "needs": "build",
            "steps": [{"id": "a", "run": "output v=7"}],
            "outputs": {"v": "${{ steps.a.outputs.v }}"},
        },
        "lint": {"needs": "build"},
        "build": "print built",
    }
    assert bench.work(jobs).result == "success"
    order = [event.job for event in bench.shown(JobStarted)]
    assert (order[0], set(order[1:3]), order[3]) == ("build", {"test", "lint"}, "ship")
    assert bench.results() == dict.fromkeys(jobs, "success")
    log = Storage(bench.home).log(1, "ship", 1)
    assert b"".join(chunk.data for chunk in log.chunks(step=1)) == b"7\n"


def test_what_is_shown_is_what_is_stored(bench: Bench) -> None:
    bench.work({"a": "exit 1", "b": {"needs": "a"}, "c": "print x"})
    stored = [event for _, event in bench.store.events(1)]
    kept = [event for event in bench.events if not isinstance(event, OutputWritten)]
    assert sorted(map(repr, kept)) == sorted(map(repr, stored))
    assert isinstance(bench.events[0], RunStarted | JobQueued)
    assert isinstance(bench.events[-1], RunFinished)
    assert bench.results() == {"a": "failure", "b": "skipped", "c": "success"}


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_no_more_jobs_run_at_once_than_there_are_slots(bench: Bench, slots: int) -> None:
    legs = {"n": list(range(9))}
    assert bench.work({"build": {"strategy": {"matrix": legs}}}, slots).result == "success"
    assert 1 <= bench.engine.most_at_once <= slots
    assert len(bench.engine.closed) == 9


def test_as_many_jobs_run_at_once_as_there_are_slots(bench: Bench) -> None:
    all_here = "wait a\nwait b\nwait c"
    jobs = {name: f"open {name}\n{all_here}" for name in "abc"}
    assert bench.work(jobs, slots=3).result == "success"
    assert bench.engine.most_at_once == 3


def test_a_failing_leg_ends_the_others(bench: Bench) -> None:
    job = {
        "strategy": {"matrix": {"n": [1, 2, 3]}},
        "run": "${{ matrix.n == 2 && 'exit 1' || 'hang' }}",
    }
    assert bench.work({"build": job}).result == "failure"
    assert bench.results() == {
        "build (1)": "cancelled",
        "build (2)": "failure",
        "build (3)": "cancelled",
    }


def test_without_fail_fast_the_others_go_on(bench: Bench) -> None:
    job = {
        "strategy": {"matrix": {"n": [1, 2]}, "fail-fast": False},
        "run": "${{ matrix.n == 2 && 'exit 1' || 'wait later' }}",
    }
    bench.on_event = lambda event: (
        bench.engine.gate("later").set()
        if isinstance(event, JobFinished) and event.result == "failure"
        else None
    )
    assert bench.work({"build": job}).result == "failure"
    assert bench.results() == {"build (1)": "success", "build (2)": "failure"}


def test_a_job_without_a_place_fails_for_its_environment(bench: Bench) -> None:
    retry = {"attempts": 3, "delay": "0s"}
    finished = bench.work({"a": {"runs-on": "missing", "retry": retry}, "b": {"runs-on": "mars"}})
    assert finished.result == "failure"
    assert {e.job: (e.reason, e.attempt) for e in bench.shown(JobFinished)} == {
        "a": ("environment", 1),
        "b": ("environment", 1),
    }


# -- retry


def test_a_job_is_tried_again_after_its_delay(bench: Bench) -> None:
    script = "print ${{ github.run_attempt }}\n${{ github.run_attempt != '3' && 'exit 1' }}"
    retry = {"attempts": 4, "delay": "150ms", "backoff": "constant", "jitter": False}
    assert (
        bench.work({"a": {"run": script, "retry": retry}, "b": {"needs": "a"}}).result == "success"
    )
    ends = [e for e in bench.shown(JobFinished) if e.job == "a"]
    assert [(e.attempt, e.result, e.final) for e in ends] == [
        (1, "failure", False),
        (2, "failure", False),
        (3, "success", True),
    ]
    starts = [e.time for e in bench.shown(JobStarted) if e.job == "a"]
    assert all(start - end.time >= 0.14 for start, end in zip(starts[1:], ends, strict=False))
    assert [e.delay for e in bench.shown(JobQueued) if e.job == "a"] == [0, 0.15, 0.15]
    assert bench.results() == {"a": "success", "b": "success"}


@pytest.mark.parametrize(
    ("on", "script", "limit", "attempts"),
    [
        (["failure"], "exit 1", 1, 2),
        (["timeout"], "exit 1", 1, 1),
        (["timeout"], "hang", 0.001, 2),
        (["failure"], "hang", 0.001, 1),
    ],
)
def test_a_job_is_tried_again_for_what_its_policy_names(
    bench: Bench, on: list[str], script: str, limit: float, attempts: int
) -> None:
    retry = {"attempts": 2, "delay": "0s", "on": on}
    bench.work({"a": {"run": script, "timeout-minutes": limit, "retry": retry}})
    assert [e.attempt for e in bench.shown(JobFinished)] == list(range(1, attempts + 1))


def test_a_run_that_was_cancelled_tries_nothing_again(bench: Bench) -> None:
    worker = bench.worker()
    run = bench.submit(
        {"a": {"run": "open started\nhang", "retry": {"attempts": 5, "delay": "0s"}}}
    )
    bench.on_event = lambda event: worker.cancel() if isinstance(event, JobStarted) else None
    assert worker.work(run).result == "cancelled"
    assert [e.attempt for e in bench.shown(JobFinished)] == [1]


# -- time limits

TOO_LONG = ("error", "the run's time limit is over (`timeouts.run`)")
TOO_LATE = ("error", "the run has waited for its start for too long (`timeouts.queue`)")


def test_a_run_ends_when_its_time_is_over(bench: Bench) -> None:
    cleanup = {"needs": "a", "if": "always()", "run": "print clean"}
    jobs = {"a": "hang", "b": {"needs": "a"}, "c": cleanup}
    finished = bench.work(jobs, timeouts={"run": "200ms"})
    assert (finished.result, finished.reason) == ("failure", "timeout")
    assert bench.results() == {"a": "cancelled", "b": "cancelled", "c": "success"}
    assert bench.told() == [TOO_LONG]


def test_a_run_that_waits_for_its_next_attempt_ends_too(bench: Bench) -> None:
    retry = {"attempts": 2, "delay": "1h"}
    finished = bench.work({"a": {"run": "exit 1", "retry": retry}}, timeouts={"run": "100ms"})
    assert (finished.result, finished.reason) == ("failure", "timeout")
    assert [(e.result, e.reason) for e in bench.shown(JobFinished)][1:] == [
        ("cancelled", "timeout")
    ]
    assert bench.told() == [TOO_LONG]


def test_a_run_in_time_says_nothing_of_its_limits(bench: Bench) -> None:
    finished = bench.work({"a": "print x"}, timeouts={"queue": "1h", "attempt": "1h", "run": "1h"})
    assert (finished.result, finished.reason, bench.told()) == ("success", "", [])


def test_a_run_that_waits_for_its_start_for_too_long_ends(bench: Bench) -> None:
    bench.submit({"a": "print a"}, concurrency="g")
    finished = bench.work({"a": "print b"}, concurrency="g", timeouts={"queue": "200ms"})
    assert (finished.result, finished.reason) == ("failure", "expired")
    assert bench.results() == {"a": "skipped"}
    assert bench.told()[1:] == [TOO_LATE]


def test_a_run_that_has_started_waits_for_a_group_as_long_as_it_takes(bench: Bench) -> None:
    bench.submit({"a": "print a"}, concurrency="g")
    jobs = {"a": "print a", "b": {"needs": "a", "concurrency": "g"}}
    finished = bench.work(jobs, timeouts={"queue": "1s", "run": "1200ms"})
    assert (finished.result, finished.reason) == ("failure", "timeout")
    assert bench.results() == {"a": "success", "b": "cancelled"}


@pytest.mark.parametrize(
    ("minutes", "attempt", "told"),
    [
        (1, "50ms", "the job's time limit is over (`timeouts.attempt`)"),
        (None, "50ms", "the job's time limit is over (`timeouts.attempt`)"),
        (0.001, "1m", "the job's time limit is over\n"),
    ],
)
def test_an_attempt_ends_when_its_time_is_over(
    bench: Bench, minutes: float | None, attempt: str, told: str
) -> None:
    job = {"run": "hang", "retry": {"attempts": 2, "delay": "0s", "on": ["timeout"]}}
    limited = job if minutes is None else {**job, "timeout-minutes": minutes}
    finished = bench.work({"a": limited}, timeouts={"attempt": attempt})
    assert finished.result == "cancelled"
    ends = [(e.attempt, e.result, e.reason) for e in bench.shown(JobFinished)]
    assert ends == [(1, "cancelled", "timeout"), (2, "cancelled", "timeout")]
    assert told in bench.log(1, "a", 2)


# -- cancelling

LONG = {
    "a": {"steps": [{"run": "open started\nhang"}, {"run": "print rest"}]},
    "b": {"needs": "a"},
    "clean": {"needs": "b", "if": "always()"},
}


def when_started(bench: Bench, act: Callable[[], None]) -> None:
    """Act once, when a step of the run hangs."""

    def wait() -> None:
        bench.engine.gate("started").wait(20)
        act()

    threading.Thread(target=wait).start()


def test_a_cancelled_run_ends_what_runs_and_cleans_up(bench: Bench) -> None:
    worker, run = bench.worker(), bench.submit(LONG)
    when_started(bench, worker.cancel)
    assert worker.work(run).result == "cancelled"
    assert bench.results() == {"a": "cancelled", "b": "cancelled", "clean": "success"}
    steps = [(e.step, e.outcome) for e in bench.shown(StepFinished) if e.job == "a" and e.step > 0]
    assert steps == [(1, "cancelled"), (2, "skipped")]
    assert bench.engine.closed["a"] == "cancelled"


def test_another_process_can_cancel(bench: Bench) -> None:
    worker, run = bench.worker(), bench.submit(LONG)

    def cancel() -> None:
        with opened_store(bench.home) as other:
            queue.cancel(other, run, time.time())

    when_started(bench, cancel)
    assert worker.work(run).result == "cancelled"
    assert bench.results() == {"a": "cancelled", "b": "cancelled", "clean": "success"}
    assert [note.message for note in bench.shown(Note)] == ["cancelled from another process"]


def test_cancelled_twice_nothing_goes_on(bench: Bench) -> None:
    """The first wish leaves a step that always runs in peace, the second does not."""
    job = {
        "steps": [
            {"run": "open started\nhang", "if": "always()"},
            {"run": "hang", "if": "always()"},
        ]
    }
    worker, run = bench.worker(), bench.submit({"a": job})

    def cancel_twice() -> None:
        worker.cancel()
        worker.cancel()

    when_started(bench, cancel_twice)
    assert worker.work(run).result == "cancelled"
    assert bench.results() == {"a": "cancelled"}
    steps = [(e.step, e.outcome) for e in bench.shown(StepFinished) if e.step > 0]
    assert steps[0] == (1, "cancelled")
    assert (2, "success") not in steps


def test_a_run_that_was_cancelled_before_it_began(bench: Bench) -> None:
    worker, run = bench.worker(), bench.submit({"a": "print x", "b": {"if": "always()"}})
    worker.cancel()
    assert worker.work(run).result == "cancelled"
    assert bench.results() == {"a": "cancelled", "b": "success"}


# -- what goes wrong


def test_a_bug_of_ours_ends_the_run_and_is_raised(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="a bug of ours"):
        bench.work({"a": "bug", "b": {"needs": "a"}, "c": "print x"})
    assert bench.results() == {"a": "failure", "b": "skipped", "c": "success"}
    [end] = [e for e in bench.shown(JobFinished) if e.job == "a"]
    assert end.reason == "internal-error"
    [finished] = bench.shown(RunFinished)
    assert finished.result == "failure"
    assert bench.engine.open_boxes == set()


def test_an_engine_that_goes_away_fails_the_step(bench: Bench) -> None:
    assert bench.work({"a": "gone", "b": "print x"}).result == "failure"
    assert bench.results() == {"a": "failure", "b": "success"}
    assert bench.engine.open_boxes == set()


def test_a_lease_that_was_lost_ends_its_job_and_records_nothing(bench: Bench) -> None:
    worker, run = bench.worker(), bench.submit({"a": "open started\nhang"})

    def lose_it() -> None:
        with opened_store(bench.home) as other:
            lease_is_lost(other, run)

    when_started(bench, lose_it)
    assert worker.work(run).result == "failure"
    assert [(e.result, e.reason) for e in bench.shown(JobFinished)] == [("failure", "lost")]
    assert any("is not ours any more" in note.message for note in bench.shown(Note))


def lease_is_lost(store: Store, run: int) -> None:
    """What `rescue` does when it takes this process for dead."""
    change(store, run, time.time(), lose)


# -- waiting


@pytest.mark.parametrize("how", ["freed", "cancelled"])
def test_who_waits_in_line_is_woken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Looking from time to time would take longer than the test may."""
    monkeypatch.setattr(loop, "HEARTBEAT", 60)
    in_line = threading.Event()
    bench.on_event = lambda event: in_line.set() if isinstance(event, Note) else None
    first, second = (bench.submit({"a": "print x"}, concurrency="g") for _ in range(2))
    [held] = queue.lease(bench.store, "another", run=first, now=time.time())
    with ThreadPoolExecutor(1) as pool:
        finished = pool.submit(bench.worker().work, second)
        assert in_line.wait(10)
        if how == "freed":
            queue.finish(bench.store, held, JobOutcome("success"), time.time())
        else:
            queue.cancel(bench.store, second, time.time())
        assert finished.result().result == {"freed": "success", "cancelled": "cancelled"}[how]
    assert list((bench.home / "wake").iterdir()) == []
