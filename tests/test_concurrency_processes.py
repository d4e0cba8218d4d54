"""Concurrency groups across real processes: in order of arrival, one at a time, and nothing lost."""

import fcntl
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from runner import queue
from runner.cli.opening import opened_store
from runner.engines.box import NO_STOP, BoxSpec, Progress, Stop, Workspace, Write, nowhere
from runner.events import Emit, Event, JobFinished, Result, RunFinished, RunStarted
from runner.execute.policy import Policy
from runner.plan import plan
from runner.queue import Submission
from runner.storage import Storage
from runner.store import Store, lines, reads
from runner.worker import Means, Worker
from tests.conftest import readable
from tests.leftovers import wait_until
from tests.test_queue import check_integrity
from tests.test_worker import CONTEXTS, MemoryBox, MemoryEngine

REPOSITORY = Path(__file__).parent.parent
PROCESSES = 8
GROUP = "one"
MODES = ("max", "single", "cancel")
#: How many go on at a time in the mode `three`.
LIMIT = 3

pytestmark = pytest.mark.timeout(180)


# -- many runs in a few processes: this is what each of them does --


class Alone(MemoryEngine):
    """An engine that fails a job beside which another one runs (or `limit` do), in whatever process.

    The lock goes with its process, however that ends.
    """

    def __init__(self, home: Path, limit: int = 1) -> None:
        super().__init__()
        self._paths = [home / f"in-use-{at}" for at in range(limit)]
        self._held: TextIO | None = None

    def open(
        self,
        spec: BoxSpec,
        progress: Progress,
        *,
        write: Write = nowhere,
        stop: Stop = NO_STOP,
    ) -> MemoryBox:
        self._held = next(filter(None, map(locked, self._paths)), None)
        assert self._held, "one too many"
        return super().open(spec, progress, write=write, stop=stop)

    def close(self, job: str, result: Result) -> None:
        assert self._held
        self._held.close()


def locked(path: Path) -> TextIO | None:
    """The file, locked for this process alone, if nobody else has it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def drive(home: str, kind: str, count: str) -> None:
    """Enqueues so many runs when told to, then works on them one after the other when told to."""
    with opened_store(Path(home)) as store:
        tell_and_wait("ready")
        runs = [enter(store, kind) for _ in range(int(count))]
        tell_and_wait(json.dumps(runs))
        for run in runs:
            worker(store, ignore, kind).work(run)
    tell_and_wait("done")


def rush(home: str, kind: str, _: str) -> None:
    """Enqueues and works until somebody kills it."""
    with opened_store(Path(home)) as store:
        tell_and_wait("ready")
        while True:
            runs = [enter(store, random.choice(kind.split())) for _ in range(2)]
            for run in runs:
                worker(store, ignore, kind).work(run)


def enter(store: Store, kind: str) -> int:
    """A run of the group, or one with a job of it, a call of it, or a call of what is of it."""
    where, _, mode = kind.rpartition("-")
    asked = {"group": GROUP, "cancel-in-progress": mode == "cancel"}
    asked |= {"queue": "max" if mode in ("max", "three") else "single"}
    asked |= {"limit": LIMIT} if mode == "three" else {}
    in_group = {"concurrency": asked}
    steps: dict[str, Any] = {"runs-on": "here", "steps": [{"run": "print x"}]}
    job: dict[str, Any] = {"uses": "./x.yaml"} if where.startswith("call") else steps
    job = job | (in_group if where in ("job", "call") else {})
    chain = {"b": steps, "c": steps | {"needs": "b"}}
    called = {"on": "workflow_call", "jobs": chain} | (in_group if where == "called" else {})
    main = {"on": "push", "jobs": {"a": job}} | (in_group if not where else {})
    return submit(store, json.dumps(main), {"x.yaml": json.dumps(called)})


def submit(store: Store, text: str, called: Mapping[str, str]) -> int:
    submission = Submission(
        text=text,
        called=called,
        file="ci.yaml",
        project="/p",
        name="CI",
        contexts=CONTEXTS,
        process=queue.process_identity(),
    )
    pipeline = queue.load_pipeline(submission.file, text, called)
    return queue.enqueue(store, submission, plan(pipeline, submission.contexts), store.now())


def worker(store: Store, emit: Emit, kind: str = "") -> Worker:
    policy = Policy(images={"here": "image"})
    engine = Alone(store.home, LIMIT if kind.endswith("three") else 1)
    means = Means({"docker": engine}, Workspace(), policy)
    return Worker(store, Storage(store.home), means, emit, f"worker {os.getpid()}", 2)


def ignore(event: Event) -> None:
    """Nobody looks."""


def tell_and_wait(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    sys.stdin.readline()


# -- and these are told to --


@dataclass(frozen=True)
class Driver:
    process: subprocess.Popen[str]

    def hears(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


def start(function: str, home: Path, kind: str, count: int = 0) -> Driver:
    module = "tests.test_concurrency_processes"
    code = f"import sys; from {module} import {function}; {function}(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(home), kind, str(count)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return Driver(process)


def together(drivers: Sequence[Driver]) -> list[str]:
    """Lets them begin at the same moment; returns what each says when it has done the next part."""
    for driver in drivers:
        driver.go()
    return [driver.hears() for driver in drivers]


#: What takes long is done on one of the databases.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def drive_all(store: Store, kind: str, runs: int, processes: int = PROCESSES) -> list[int]:
    """Runs in several processes that begin together; returns their numbers."""
    shares = [len(range(at, runs, processes)) for at in range(processes)]
    drivers = [start("drive", store.home, kind, share) for share in shares]
    assert [driver.hears() for driver in drivers] == ["ready\n"] * processes
    numbers = [run for said in together(drivers) for run in json.loads(said)]
    assert together(drivers) == ["done\n"] * processes
    for driver in drivers:
        driver.process.communicate("go\n", timeout=30)
    assert [driver.process.returncode for driver in drivers] == [0] * processes
    return sorted(numbers)


def happened(store: Store) -> list[tuple[str, int]]:
    """The beginnings and ends of runs that began, in the order in which they were written down."""
    found = []
    for run in reads.runs(store, limit=10_000):
        events = store.events(run.id)
        if any(isinstance(event, RunStarted) for _, event in events):
            for kind in (RunStarted, RunFinished):
                found += [(seq, kind.__name__, run.id) for seq, e in events if isinstance(e, kind)]
    return [(kind, run) for _, kind, run in sorted(found)]


def results(store: Store) -> dict[int, str | None]:
    return {run.id: run.result for run in reads.runs(store, limit=10_000)}


@ON_SQLITE
def test_runs_that_start_together_go_on_one_at_a_time_in_the_order_of_arrival(
    store: Store,
) -> None:
    runs = drive_all(store, "max", 150)
    assert runs == list(range(1, 151))
    assert results(store) == dict.fromkeys(runs, "success")
    in_order = [(kind, run) for run in runs for kind in ("RunStarted", "RunFinished")]
    assert happened(store) == in_order
    assert lines.read(store.notes, ("/p", GROUP.upper())) == ()


def test_runs_that_start_together_go_on_so_many_at_a_time_in_the_order_of_arrival(
    store: Store,
) -> None:
    runs = drive_all(store, "three", 40, processes=5)
    assert results(store) == dict.fromkeys(runs, "success")
    told = happened(store)
    ended = list(itertools.accumulate(kind == "RunFinished" for kind, _ in told))
    starts = [run - before for (kind, run), before in zip(told, ended, strict=True) if "S" in kind]
    assert 1 < max(starts) <= LIMIT
    assert lines.read(store.notes, ("/p", GROUP.upper())) == ()


def test_jobs_of_runs_that_start_together_go_on_one_at_a_time(store: Store) -> None:
    runs = drive_all(store, "job-max", 30, processes=3)
    assert results(store) == dict.fromkeys(runs, "success")


@ON_SQLITE
@pytest.mark.parametrize("kind", ["call-max", "called-max"])
def test_calls_of_runs_that_start_together_go_on_one_at_a_time(store: Store, kind: str) -> None:
    runs = drive_all(store, kind, 12, processes=3)
    assert results(store) == dict.fromkeys(runs, "success")
    with store.notes.reading() as database:
        jobs = database.execute("SELECT run FROM event WHERE kind = 'JobStarted' ORDER BY seq")
        order = [row["run"] for row in jobs]
    assert order == [run for run in runs for _ in ("b", "c")]


@ON_SQLITE
def test_of_runs_that_start_together_the_first_and_the_last_run(store: Store) -> None:
    runs = drive_all(store, "single", 150)
    ended = results(store)
    assert (ended[1], ended[150]) == ("success", "success")
    assert {ended[run] for run in runs[1:-1]} == {"cancelled"}
    reasons = {run.id: run.reason for run in reads.runs(store, limit=200)}
    assert [reasons[run] for run in runs[1:-1]] == [
        f"run {run + 1} came for group `{GROUP}`" for run in runs[1:-1]
    ]
    assert [run for _, run in happened(store)] == [1, 1, 150, 150]


def kill_at_random(store: Store, seconds: float, modes: Sequence[str] = MODES) -> None:
    """Kills one of several processes at any point and starts another, again and again."""
    until = time.monotonic() + seconds
    drivers = [let_loose(store, modes) for _ in range(LIMIT + 1)]
    try:
        while time.monotonic() < until:
            threading.Event().wait(random.uniform(0.0, 0.4))
            assert [driver.process.poll() for driver in drivers] == [None] * (LIMIT + 1)
            random.shuffle(drivers)
            drivers.append(let_loose(store, modes))
            drivers.pop(0).kill()
    finally:
        for driver in drivers:
            driver.kill()
    check_after_kills(store)


def let_loose(store: Store, modes: Sequence[str]) -> Driver:
    kinds = [f"{where}-{mode}" for where in ("", "job", "call", "called") for mode in modes]
    driver = start("rush", store.home, " ".join(kinds))
    assert driver.hears() == "ready\n"
    driver.go()
    return driver


def check_after_kills(store: Store) -> None:
    """Whatever was killed has ended with a reason, and the group is free for the next."""
    queue.rescue(store, store.now())
    assert lines.read(store.notes, ("/p", GROUP.upper())) == ()
    assert None not in results(store).values()
    assert {run.reason for run in reads.runs(store, limit=10_000) if run.result == "failure"} <= {
        "lost"
    }
    check_integrity(store)
    with store.notes.reading() as database:
        assert database.execute("SELECT * FROM place").fetchall() == []
    ended: list[Event] = []
    assert worker(store, ended.append).work(enter(store, "single")).result == "success"
    assert any(isinstance(event, JobFinished) for event in ended)


@ON_SQLITE
def test_no_kill_leaves_a_group_taken(store: Store) -> None:
    kill_at_random(store, 3.0)


@ON_SQLITE
def test_no_kill_leaves_a_place_of_several_taken(store: Store) -> None:
    kill_at_random(store, 3.0, ["three"])


@ON_SQLITE
@pytest.mark.faults
@pytest.mark.parametrize("modes", [MODES, ["three"]], ids=["one", "several"])
def test_no_kill_leaves_a_group_taken_for_long(store: Store, modes: Sequence[str]) -> None:
    kill_at_random(store, 120.0, modes)


# -- real commands --

PIPELINE = """\
on: push
concurrency: {{group: 'deploy-${{{{ github.ref_name }}}}', {mode}}}
jobs:
  deploy:
    runs-on: self-hosted
    steps:
      - run: {script}
"""
LISTED = "echo begin >> {log}; sleep 0.05; echo end >> {log}"
HELD = "touch {home}/begun; while test ! -e {home}/end; do sleep 0.05; done"


@dataclass(frozen=True)
class Commands:
    """A project, and `pipe run --host` in it."""

    home: Path
    project: Path

    def write(self, name: str, mode: str, script: str) -> None:
        (self.project / f"{name}.yaml").write_text(PIPELINE.format(mode=mode, script=script))

    def run(self, name: str) -> subprocess.Popen[bytes]:
        pipe = Path(sys.executable).with_name("pipe")
        command = [str(pipe), "run", f"{name}.yaml", "--host", "--bind"]
        return subprocess.Popen(
            command, cwd=self.project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def runs(self) -> dict[int, tuple[str, str | None, str]]:
        with opened_store(self.home) as store:
            return {
                run.id: (run.state, run.result, run.reason) for run in reads.runs(store, limit=99)
            }

    def waits(self) -> list[int]:
        with opened_store(self.home) as store:
            return [wait.run for wait in lines.waits(store.notes)]


@pytest.fixture
def commands(tmp_path: Path, pipe_home: Path, database_url: str) -> Iterator[Commands]:
    project = tmp_path / "project"
    project.mkdir()
    yield Commands(pipe_home, project)
    (tmp_path / "end").touch()


def hold(commands: Commands, folder: Path, mode: str) -> subprocess.Popen[bytes]:
    """A run that has begun and holds its group until there is a file `end`."""
    commands.write("hold", mode, HELD.format(home=folder))
    held = commands.run("hold")
    wait_until((folder / "begun").exists, "the step begins")
    return held


def printed(process: subprocess.Popen[bytes]) -> str:
    return readable(process.communicate(timeout=60)[0])


@ON_SQLITE
def test_commands_that_start_together_run_one_at_a_time(commands: Commands, tmp_path: Path) -> None:
    log = tmp_path / "log"
    commands.write("listed", "queue: max", LISTED.format(log=log))
    started = [commands.run("listed") for _ in range(PROCESSES)]
    output = [printed(process) for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, output
    assert log.read_text().split() == ["begin", "end"] * PROCESSES
    with opened_store(commands.home) as store:
        runs = range(1, PROCESSES + 1)
        assert happened(store) == [(k, r) for r in runs for k in ("RunStarted", "RunFinished")]
    assert sum("waits for group `deploy-" in shown for shown in output) >= PROCESSES // 2


def test_a_command_that_is_killed_frees_its_group(commands: Commands, tmp_path: Path) -> None:
    holder = hold(commands, tmp_path, "queue: max")
    commands.write("next", "queue: max", "echo it is my turn")
    following = commands.run("next")
    wait_until(lambda: commands.waits() == [2], "the next one waits")
    holder.kill()
    shown = printed(following)
    assert following.returncode == 0, shown
    assert "it is my turn" in shown
    assert commands.runs()[1] == ("finished", "failure", "lost")
    printed_by_holder(holder, tmp_path)


def printed_by_holder(holder: subprocess.Popen[bytes], folder: Path) -> str:
    """The script of a killed run goes on until it is told to end; it has the pipe open."""
    (folder / "end").touch()
    return printed(holder)


@ON_SQLITE
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_while_it_waits_leaves_the_line(
    commands: Commands, tmp_path: Path, number: signal.Signals
) -> None:
    holder = hold(commands, tmp_path, "queue: max")
    waiting = commands.run("hold")
    wait_until(lambda: commands.waits() == [2], "the next one waits")
    waiting.send_signal(number)
    shown = printed(waiting)
    assert waiting.returncode == 130, shown
    assert commands.waits() == []
    (tmp_path / "end").touch()
    printed(holder)
    assert holder.returncode == 0
    assert commands.runs()[2][:2] == ("finished", "cancelled")


@ON_SQLITE
def test_a_command_really_stops_what_runs(commands: Commands, tmp_path: Path) -> None:
    holder = hold(commands, tmp_path, "cancel-in-progress: true")
    commands.write("next", "cancel-in-progress: true", "echo it is my turn")
    following = commands.run("next")
    shown, of_next = printed(holder), printed(following)
    assert (holder.returncode, following.returncode) == (130, 0), shown + of_next
    assert "run 2 came for group `deploy-" in shown
    assert "it is my turn" in of_next
    assert not (tmp_path / "end").exists()


@ON_SQLITE
def test_a_command_that_is_sent_away_says_by_whom(commands: Commands, tmp_path: Path) -> None:
    holder = hold(commands, tmp_path, "queue: single")
    waiting = commands.run("hold")
    wait_until(lambda: commands.waits() == [2], "the second one waits")
    last = commands.run("hold")
    shown = printed(waiting)
    assert waiting.returncode == 130
    assert "run 3 came for group `deploy-" in shown
    (tmp_path / "end").touch()
    printed(holder), printed(last)
    assert (holder.returncode, last.returncode) == (0, 0)
    assert commands.runs()[2][1] == "cancelled"
