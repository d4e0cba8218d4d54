"""The box that a worker without work keeps open: who gets it, and that it never stays behind."""

import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.engines.box import BoxSpec, Image, Service
from runner.store import Store
from runner.worker import Spare
from runner.worker.spare import IDLE
from tests.conftest import RunPipe
from tests.leftovers import wait_until
from tests.test_engine_docker import BUSYBOX, no_progress
from tests.test_engine_warm import Bench
from tests.test_engine_warm import bench as bench
from tests.test_faults import Running, StartPipe, make_project
from tests.test_faults import start_pipe as start_pipe
from tests.test_queue_machine import store as store
from tests.test_queue_machine import submitted, wait_for_result

pytestmark = [pytest.mark.docker, pytest.mark.timeout(90)]

BUILD = """\
on: push
jobs:
  build:
    runs-on: small
    steps:
      - run: echo "$(hostname) $(cat a.txt) $(ls | tr '\\n' ' ')"; touch left-behind
  after:
    needs: build
    runs-on: small
    steps:
      - run: hostname
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"build.yaml": BUILD, "a.txt": "one"}
    return make_project(tmp_path / "project", files)


def boxes(project: Path, *options: str) -> list[str]:
    command = ("docker", "ps", "-aq", "--filter", f"label=pipe.project={project}", *options)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def box_that_waits(project: Path, but: str = "") -> str:
    """The host name of the only container that belongs to no run, once it is there."""
    found: list[str] = []

    def is_there() -> bool:
        spare = ("--filter", "label=pipe.run=0", "--filter", "status=running")
        found[:] = set(boxes(project, *spare)) - {but}
        return len(found) == 1

    wait_until(is_there, "a box waits")
    return found[0]


def printed(run_pipe: RunPipe, run: int) -> str:
    return run_pipe("logs", str(run), "-j", "build").stdout


def test_the_first_job_of_the_next_run_gets_it_as_if_it_were_fresh(
    project: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store
) -> None:
    worker = start_pipe("worker", "--jobs", "1", cwd=project)
    [first] = submitted(run_pipe, project, "build.yaml")
    wait_for_result(store, first)
    box = box_that_waits(project)
    assert box not in printed(run_pipe, first)
    (project / "a.txt").write_text("two")
    (project / "b.txt").write_text("new")
    [second] = submitted(run_pipe, project, "build.yaml")
    wait_for_result(store, second)
    said = f"{box} two a.txt b.txt build.yaml pipe.yaml \n"
    assert printed(run_pipe, second).endswith(f"\n{said}")
    assert box_that_waits(project, but=box) != box
    end(worker, project, signal.SIGTERM)
    assert worker.process.returncode == 0


def end(worker: Running, project: Path, number: signal.Signals) -> None:
    worker.process.send_signal(number)
    worker.end()
    wait_until(lambda: boxes(project) == [], "no container is left")


def test_it_goes_with_a_worker_that_is_killed(
    project: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store
) -> None:
    worker = start_pipe("worker", cwd=project)
    [run] = submitted(run_pipe, project, "build.yaml")
    wait_for_result(store, run)
    box_that_waits(project)
    end(worker, project, signal.SIGKILL)


@pytest.mark.parametrize("option", ["--no-spare", "--drain"])
def test_a_worker_that_is_to_have_none_has_none(
    project: Path, start_pipe: StartPipe, run_pipe: RunPipe, store: Store, option: str
) -> None:
    runs = submitted(run_pipe, project, "build.yaml", "build.yaml")
    worker = start_pipe("worker", "--jobs", "1", option, cwd=project)
    for run in runs:
        wait_for_result(store, run)
    assert boxes(project, "--filter", "label=pipe.run=0") == []
    end(worker, project, signal.SIGTERM)


# -- by itself


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


class Idle:
    """A spare box of an engine, and the time that it goes by."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.clock = Clock()
        self.spare = Spare(bench.warm, bench.home, self.clock)

    def after(self, *specs: BoxSpec) -> set[str]:
        """The boxes that wait after jobs of one run that asked for these."""
        for spec in specs:
            self.bench.opened.append(self.bench.warm.open(spec, no_progress))
            self.spare.ran(spec.run, self.bench.snapshots[-1].to_json())
        return self.rests()

    def rests(self) -> set[str]:
        self.spare.rest()
        self.spare.close()
        return self.bench.waiting


@pytest.fixture
def idle(bench: Bench) -> Idle:
    return Idle(bench)


def test_there_is_one_for_what_the_run_asked_for_first(idle: Idle) -> None:
    first = idle.bench.spec(BUSYBOX)
    [box] = idle.after(first, replace(first, job="after"))
    got = idle.bench.warm.open(first, no_progress)
    idle.bench.opened.append(got)
    assert got.facts.id == box


def test_it_makes_way_for_another(idle: Idle) -> None:
    [one] = idle.after(idle.bench.spec(BUSYBOX))
    [other] = idle.after(replace(idle.bench.spec(BUSYBOX), job="other"))
    assert one != other


def test_nobody_needs_it_for_long(idle: Idle) -> None:
    [box] = idle.after(idle.bench.spec(BUSYBOX))
    idle.clock.time = IDLE - 1
    assert idle.rests() == {box}
    idle.clock.time = IDLE
    assert idle.rests() == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"services": (Service("db", Image(BUSYBOX, "never"), command=("sleep", "60")),)},
        {"options": "--cpus 1"},
        {"volumes": ("/tmp:/data",)},
    ],
    ids=str,
)
def test_what_is_more_than_a_container_does_not_wait(idle: Idle, changes: dict[str, Any]) -> None:
    assert idle.after(replace(idle.bench.spec(BUSYBOX), **changes)) == set()


def test_a_source_that_is_gone_by_then(idle: Idle) -> None:
    spec = idle.bench.spec(BUSYBOX)
    idle.bench.opened.append(idle.bench.warm.open(spec, no_progress))
    idle.spare.ran(spec.run, {**idle.bench.snapshots[-1].to_json(), "tree": "snapshots/gone/tree"})
    assert idle.rests() == set()
