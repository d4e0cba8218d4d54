"""Workers of the queue on a machine where things are missing for a while, or that stands still."""

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.engines.box import Workspace
from runner.events import JobFinished, RunFinished, RunStarted
from runner.execute.policy import Policy
from runner.plan import plan
from runner.plugins.loading import Loaded
from runner.queue import Submission
from runner.storage import Storage
from runner.store import Store, limits, reads, workers
from runner.worker import Means, QueueWorker, Site, Terms
from runner.worker.log import Level
from runner.worker.means import RunMeans
from tests.conftest import RunPipe
from tests.leftovers import wait_until
from tests.test_faults import Proxy, Running, StartPipe, make_project, mounted
from tests.test_faults import proxy as proxy
from tests.test_faults import start_pipe as start_pipe
from tests.test_worker import CONTEXTS, MemoryEngine

pytestmark = pytest.mark.timeout(120)

HOST = {"PIPE_ALLOW_HOST": "1"}
ON_HOST = "on: push\njobs:\n  it:\n    runs-on: self-hosted\n    steps:\n      - run: {}\n"
IN_BOX = "on: push\njobs:\n  it:\n    runs-on: small\n    steps:\n      - run: {}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its pipelines write what they do into files beside it, as `FOLDER` says."""
    files = {
        "quick.yaml": ON_HOST.format("echo $GITHUB_RUN_ID >> $FOLDER/done"),
        "held.yaml": ON_HOST.format(
            "touch $FOLDER/begun-$$; until test -e $FOLDER/end; do sleep 0.05; done;"
            " echo $GITHUB_RUN_ID >> $FOLDER/done"
        ),
        "box.yaml": IN_BOX.format("echo hello"),
        "slow.yaml": IN_BOX.format("echo begun; if ! test -e /until/end; then sleep 60; fi"),
    }
    until = f"    container: {{image: 'pipe-test/busybox:1', volumes: ['{tmp_path}:/until']}}\n"
    files["slow.yaml"] = files["slow.yaml"].replace("    steps", until + "    steps")
    files = {name: text.replace("$FOLDER", str(tmp_path)) for name, text in files.items()}
    return make_project(tmp_path / "project", files)


@pytest.fixture
def store(pipe_home: Path) -> Iterator[Store]:
    with Store.open(pipe_home) as opened:
        yield opened


def submitted(run_pipe: RunPipe, project: Path, *files: str) -> list[int]:
    finished = run_pipe("submit", *files, cwd=project)
    assert finished.exit_code == 0, finished
    return [int(line) for line in finished.stdout.split()]


def wait_for_result(store: Store, run: int, result: str = "success", patience: float = 30) -> None:
    def is_over() -> bool:
        found = reads.run(store, run).run.result
        assert found in (None, result), [event for _, event in store.events(run)]
        return found is not None

    wait_until(is_over, lambda: [event for _, event in store.events(run)], patience)


def reasons(store: Store, run: int) -> list[str]:
    """Why each attempt ended."""
    events = (event for _, event in store.events(run))
    return [event.reason for event in events if isinstance(event, JobFinished)]


def end(worker: Running) -> str:
    """Tells it to end, which it does without an error; what it said."""
    worker.process.send_signal(signal.SIGTERM)
    assert worker.end() == 0, worker.shown()
    assert "Traceback" not in worker.shown()
    return worker.shown()


# -- the engine


@pytest.mark.docker
def test_a_worker_waits_for_the_engine_and_does_what_needs_none(
    proxy: Proxy,
    project: Path,
    tmp_path: Path,
    start_pipe: StartPipe,
    run_pipe: RunPipe,
    store: Store,
) -> None:
    (tmp_path / "engine").rename(tmp_path / "away")
    env = HOST | {"DOCKER_HOST": f"unix://{tmp_path}/engine"}
    in_box, on_host = submitted(run_pipe, project, "box.yaml", "quick.yaml")
    worker = start_pipe("worker", cwd=project, env=env)
    wait_for_result(store, on_host)
    assert reads.run(store, in_box).run.state == "queued"
    (tmp_path / "away").rename(tmp_path / "engine")
    wait_for_result(store, in_box)
    said = end(worker)
    assert said.count("jobs in containers wait for it") == 1
    assert said.count("the engine for containers is there again") == 1


@pytest.mark.docker
def test_a_job_whose_engine_goes_away_is_done_again(
    proxy: Proxy,
    project: Path,
    tmp_path: Path,
    start_pipe: StartPipe,
    run_pipe: RunPipe,
    store: Store,
) -> None:
    env = HOST | {"DOCKER_HOST": f"unix://{tmp_path}/engine"}
    [run] = submitted(run_pipe, project, "slow.yaml")
    worker = start_pipe("worker", cwd=project, env=env)
    log = Storage(store.home).log(run, "it", 1)
    wait_until(lambda: b"begun" in read(log), "the job has begun")
    proxy.cut()
    wait_until(lambda: reasons(store, run) == ["returned"], lambda: worker.shown())
    (tmp_path / "end").touch()
    again = Proxy(tmp_path / "engine", "/var/run/docker.sock")
    wait_for_result(store, run)
    end(worker)
    again.cut()
    assert reasons(store, run) == ["returned", ""]


def read(log: Any) -> bytes:
    path = Path(log if isinstance(log, (str, Path)) else log.path)
    return path.read_bytes() if path.exists() else b""


# -- the database


def test_a_worker_outlives_a_full_disk(
    project: Path, tmp_path: Path, start_pipe: StartPipe, run_pipe: RunPipe
) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=24m", "none") as disk:
        env = HOST | {"PIPE_HOME": str(disk / "home")}
        worker = start_pipe("worker", cwd=project, env=env)
        try:
            worker.wait_for("jobs at a time")
            fill(disk)
            refused = run_pipe("submit", "quick.yaml", cwd=project, env=env)
            assert refused.exit_code == 4, refused
            assert "Traceback" not in refused.stderr
            assert "space" in refused.stderr
            worker.wait_for("trying again every")
            (disk / "filler").unlink()
            worker.wait_for("is there again")
            queued = run_pipe("submit", "quick.yaml", cwd=project, env=env)
            assert queued.exit_code == 0, queued
            with Store.open(disk / "home") as store:
                wait_for_result(store, int(queued.stdout))
            end(worker)
        finally:
            worker.kill()


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 10, 1):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:
                continue


@pytest.mark.parametrize("command", [("worker",), ("submit", "quick.yaml")])
def test_a_read_only_home_is_refused(
    command: tuple[str, ...], project: Path, tmp_path: Path, run_pipe: RunPipe
) -> None:
    with mounted(tmp_path / "fixed", "-t", "tmpfs", "-o", "ro", "none") as disk:
        for home in (disk, disk / "home"):
            refused = run_pipe(*command, cwd=project, env=HOST | {"PIPE_HOME": str(home)})
            assert refused.exit_code == 4, refused
            assert str(home) in refused.stderr
            assert "Traceback" not in refused.stderr


# -- a worker that stands still


def test_a_worker_that_stood_still_does_not_end_what_is_not_its_own(
    project: Path, tmp_path: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store
) -> None:
    [run] = submitted(run_pipe, project, "held.yaml")
    first = start_pipe("worker", "--jobs", "1", cwd=project, env=HOST)
    wait_until(lambda: list(tmp_path.glob("begun-*")), first.shown)
    first.process.send_signal(signal.SIGSTOP)
    [record] = workers.all_workers(store.notes)
    # However long it stands still: as it lives, its job is not given to another.
    assert queue.tend(store, store.now() + 10_000).lost == ()
    # On another machine nobody could know, so there it would be.
    workers.unregister(store.notes, record.name)
    assert queue.tend(store, store.now() + 10_000).lost == ((run, "it"),)
    second = start_pipe("worker", "--jobs", "1", cwd=project, env=HOST)
    wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 2, second.shown)
    first.process.send_signal(signal.SIGCONT)
    first.wait_for("attempt 1 of `it` in run 1 is not ours any more")
    (tmp_path / "end").touch()
    wait_for_result(store, run)
    assert reasons(store, run) == ["lost", ""]
    assert (tmp_path / "done").read_text() == f"{run}\n"
    for worker in (first, second):
        end(worker)


def test_a_clock_that_jumps_takes_nothing_from_who_lives(
    project: Path, tmp_path: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store
) -> None:
    """Another process whose clock is a day ahead, or behind, looks after the same queue."""
    [run] = submitted(run_pipe, project, "held.yaml")
    worker = start_pipe("worker", "--jobs", "1", cwd=project, env=HOST)
    wait_until(lambda: list(tmp_path.glob("begun-*")), worker.shown)
    for jump in (86_400.0, -86_400.0):
        assert queue.tend(store, store.now() + jump).lost == ()
        assert queue.reconcile(store, store.now() + jump) == []
    (tmp_path / "end").touch()
    wait_for_result(store, run)
    assert reasons(store, run) == [""]
    end(worker)


# -- limits and company


def test_with_a_limit_of_five_no_more_than_five_of_fifty_run_and_all_end(
    project: Path, tmp_path: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store
) -> None:
    limits.change(store.promises, limits.Scope("global", "", maximum=5), store.now())
    runs = submitted(run_pipe, project, *["quick.yaml"] * 50)
    workers_ = [
        start_pipe("worker", "--jobs", "4", "--drain", cwd=project, env=HOST) for _ in range(3)
    ]
    for worker in workers_:
        assert worker.process.wait(90) == 0, worker.shown()
    assert {reads.run(store, run).run.result for run in runs} == {"success"}
    assert sorted(map(int, (tmp_path / "done").read_text().split())) == runs
    assert most_at_once(store, runs) <= 5
    assert limits.reconcile(store.promises, store.now()) == []


def most_at_once(store: Store, runs: list[int]) -> int:
    """Of the events as they were written down, in their order."""
    found = sorted((seq, event) for run in runs for seq, event in store.events(run))
    running = most = 0
    for _, event in found:
        running += isinstance(event, RunStarted) - isinstance(event, RunFinished)
        most = max(most, running)
    assert running == 0
    return most


def test_commands_and_workers_share_a_store(
    project: Path, tmp_path: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store
) -> None:
    worker = start_pipe("worker", cwd=project, env=HOST)
    watch = start_pipe("watch", "quick.yaml", cwd=project, env=HOST)
    mine = [start_pipe("run", "quick.yaml", cwd=project, env=HOST) for _ in range(2)]
    queued = submitted(run_pipe, project, *["quick.yaml"] * 5)
    for each in mine:
        assert each.end() == 0, each.shown()
    for run in queued:
        wait_for_result(store, run)
    wait_until(lambda: len(done(tmp_path)) == 8, lambda: (done(tmp_path), watch.shown()), 30)
    end(worker)
    watch.process.send_signal(signal.SIGINT)
    assert watch.end() == 0, watch.shown()
    assert sorted(done(tmp_path)) == list(range(1, 9))
    assert {run.result for run in reads.runs(store)} == {"success"}


def done(folder: Path) -> list[int]:
    path = folder / "done"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


# -- in this process, with an engine in memory


@dataclass(frozen=True, slots=True)
class MemorySite(Site):
    """Where runs have no source."""

    def open(self, submission: Submission, installed: tuple[Loaded, ...]) -> RunMeans:
        means = Means(self.engines, Workspace(), Policy(images={"here": "image"}))
        return RunMeans(means, lambda event: None, lambda: None)


class Said:
    """What a worker said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, level: Level, message: str, *, run: int = 0, job: str = "", **more: Any) -> None:
        self.lines.append(message)


def enqueue(store: Store, jobs: Mapping[str, Any]) -> int:
    made = {name: {"runs-on": "here", **job} for name, job in jobs.items()}
    text = json.dumps({"on": "push", "jobs": made})
    submission = Submission(text=text, file="x.yaml", project="/p", name="x", contexts=CONTEXTS)
    first = plan(queue.load_pipeline(submission.file, text), CONTEXTS)
    return queue.enqueue(store, submission, first, time.time())


def worker_of(store: Store, said: Said, slots: int = 2, **terms: Any) -> QueueWorker:
    site = MemorySite(store.home, store.home, {"docker": MemoryEngine()}, lambda: None)
    terms = {"drain": True, **terms}
    return QueueWorker(
        store, Storage(store.home), site, Terms(slots, **terms), lambda event: None, said
    )


def steps(*lines: str, **more: Any) -> dict[str, Any]:
    return {"steps": [{"run": "\n".join(lines)}], **more}


def test_what_was_leased_but_not_begun_goes_on(store: Store) -> None:
    """As when the database went away between the two."""
    said = Said()
    run = enqueue(store, {"a": steps("print x")})
    worker = worker_of(store, said)
    queue.lease(store, worker.name, now=store.now())
    worker.work()
    assert reads.run(store, run).run.result == "success"
    assert "it was leased, but did not begin" in said.lines


def test_the_next_attempt_may_begin_before_the_last_one_is_cleared_away(store: Store) -> None:
    """It is queued with the end of the last one, whose thread still has to take leave."""
    said = Said()
    retry = {"attempts": 30, "delay": "0s"}
    runs = [enqueue(store, {"a": steps("exit 1", retry=retry)}) for _ in range(3)]
    crashed: list[object] = []
    before, threading.excepthook = threading.excepthook, crashed.append
    try:
        worker_of(store, said, slots=4).work()
    finally:
        threading.excepthook = before
    assert crashed == []
    for run in runs:
        assert reads.run(store, run).run.result == "failure"
        assert len(reasons(store, run)) == 30


def test_a_worker_without_a_free_hand_rests_while_jobs_become_due(store: Store) -> None:
    said = Said()
    enqueue(store, {"a": steps("exit 1", retry={"attempts": 2, "delay": "1s"})})
    [lease] = queue.lease(store, "another", now=store.now())
    outcome = queue.JobOutcome("failure", retry_after=0.05)
    queue.finish(store, lease, outcome, store.now())
    enqueue(store, {"long": steps("wait gate")})
    turns: list[float] = []
    worker = QueueWorker(
        store,
        Storage(store.home),
        MemorySite(store.home, store.home, {"docker": MemoryEngine()}, lambda: None),
        Terms(1, drain=True),
        lambda event: None,
        said,
        lambda: turns.append(time.monotonic()),
    )
    thread = threading.Thread(target=worker.work)
    thread.start()
    wait_until(lambda: len(turns) > 3, "it works")
    many = len(turns)
    threading.Event().wait(1.0)
    assert len(turns) - many < 20
    for _ in range(3):
        worker.stop()
    thread.join()


def test_what_a_worker_was_at_when_it_crashed_is_done_by_another(store: Store) -> None:
    run = enqueue(store, {"a": steps("wait gate")})

    def crash() -> None:
        if workers.leased_by(store.notes, worker.name):
            raise KeyboardInterrupt("by design")

    worker = QueueWorker(
        store,
        Storage(store.home),
        MemorySite(store.home, store.home, {"docker": MemoryEngine()}, lambda: None),
        Terms(1),
        lambda event: None,
        Said(),
        crash,
    )
    with pytest.raises(KeyboardInterrupt):
        worker.work()
    assert workers.all_workers(store.notes) == []
    assert reasons(store, run) == ["returned"]
    [again] = queue.lease(store, "another", now=store.now() + 10)
    assert again.tries == 1
