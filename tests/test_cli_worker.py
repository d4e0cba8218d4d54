"""`pipe worker`: when it ends, what it takes, what jobs get of it, and what it tells."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import group
from tests.conftest import Finished, RunPipe, readable
from tests.leftovers import PATIENCE, wait_until

pytestmark = pytest.mark.timeout(120)

#: Says that it began, waits until it is let go, and tells of an interrupt that it gets.
HELD = """\
on: push
jobs:
  held:
    runs-on: self-hosted
    steps:
      - run: |
          trap 'touch "$ROOM/told"' INT
          touch "$ROOM/begun"
          until test -e "$ROOM/go"; do sleep 0.05 || true; done
"""
ONE = """\
on: push
jobs:
  one:
    runs-on: {labels}
    steps:
      - run: echo {text}
"""
PLUGIN = """\
from runner.plugin import PluginStep, hookimpl

@hookimpl
def steps():
    return [PluginStep("greet", {{"type": "object"}}, lambda step: step.log("{text}"))]
"""
MIXED = """\
on: push
jobs:
  mixed:
    runs-on: self-hosted
    environment: here
    steps:
      - run: cat words; echo "${{ vars.WORD }} {text}"
      - uses: greet
"""


def write(project: Path, name: str, text: str) -> None:
    file = project / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that steps know as ROOM; beside it is a project, in which this process is."""
    room, project = tmp_path / "room", tmp_path / "project"
    room.mkdir()
    write(project, "held.yaml", HELD)
    write(project, "one.yaml", ONE.format(labels="self-hosted", text="done"))
    monkeypatch.setenv("ROOM", str(room))
    monkeypatch.chdir(project)
    return room


@pytest.fixture
def work(run_pipe: RunPipe, room: Path) -> Callable[..., Finished]:
    """A worker that ends by itself."""

    def drained(*options: str) -> Finished:
        ended = run_pipe("worker", "--host", "--log-format", "json", *options, cwd=room)
        assert ended.exit_code == 0, ended.stderr
        return ended

    return drained


def submit(file: str, *options: str) -> int:
    ended = CliRunner().invoke(group, ["submit", file, *options])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return int(ended.stdout)


def results() -> list[str | None]:
    """Of all runs, the oldest first; None as long as one has not ended."""
    listed = json.loads(CliRunner().invoke(group, ["runs", "--json"]).stdout)
    return [run["result"] for run in reversed(listed)]


def printed(run: int) -> str:
    return CliRunner().invoke(group, ["logs", str(run)]).stdout


def told(ended: Finished) -> list[dict[str, Any]]:
    """Each line is JSON."""
    return [json.loads(line) for line in ended.stderr.splitlines()]


# -- when it ends


def test_it_drains(room: Path, work: Callable[..., Finished]) -> None:
    runs = [submit("one.yaml") for _ in range(3)]
    work("--drain")
    assert results() == ["success"] * 3
    assert [run for run in runs if "done" in printed(run)] == runs


def test_it_does_one_job(room: Path, work: Callable[..., Finished]) -> None:
    submit("one.yaml"), submit("one.yaml")
    work("--once", "--jobs", "4")
    assert results() == ["success", None]


@dataclass
class Serving:
    """A worker that goes on until it is told to stop."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def ask(self, number: signal.Signals, times: int) -> None:
        """Each time it hears of it."""
        for count in range(1, times + 1):
            self.process.send_signal(number)
            wait_until(lambda count=count: self.asked() >= count, "it hears of it")  # type: ignore[misc]

    def asked(self) -> int:
        return readable(self.log.read_bytes()).count("asked to")

    def end(self) -> int:
        return self.process.wait(PATIENCE)


@contextmanager
def serving(room: Path, *options: str) -> Iterator[Serving]:
    log = room / "log"
    command = [str(Path(sys.executable).with_name("pipe")), "worker", "--host", *options]
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            yield Serving(process, log)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_once_it_finishes_what_runs_and_takes_nothing_more(
    room: Path, number: signal.Signals
) -> None:
    submit("held.yaml")
    with serving(room, "--jobs", "2") as worker:
        wait_until((room / "begun").exists, "the step begins")
        worker.ask(number, 1)
        submit("one.yaml")
        (room / "go").touch()
        assert worker.end() == 0
    assert results() == ["success", None]
    assert not (room / "told").exists()


def test_asked_twice_it_cancels_what_runs(room: Path) -> None:
    submit("held.yaml")
    with serving(room) as worker:
        wait_until((room / "begun").exists, "the step begins")
        worker.ask(signal.SIGTERM, 2)
        wait_until((room / "told").exists, "the step is interrupted")
        assert worker.end() == 0
    assert results() == ["cancelled"]


def test_asked_thrice_it_ends_what_runs_at_once(room: Path) -> None:
    write(Path(), "held.yaml", HELD.replace("trap", "trap '' TERM; trap"))
    submit("held.yaml")
    with serving(room) as worker:
        wait_until((room / "begun").exists, "the step begins")
        worker.ask(signal.SIGTERM, 3)
        assert worker.process.wait(5) == 0
    assert results() == ["cancelled"]


# -- what it takes


def test_labels(room: Path, run_pipe: RunPipe, work: Callable[..., Finished]) -> None:
    write(Path(), "gpu.yaml", ONE.format(labels="[self-hosted, GPU]", text="fast"))
    submit("gpu.yaml"), submit("one.yaml")
    work("--drain")
    assert results() == [None, "success"]
    assert run_pipe("worker", "--drain", "--labels", "gpu", cwd=room).exit_code == 0
    assert results() == [None, "success"], "not without --host"
    work("--drain", "--labels", "other, gpu")
    assert results() == ["success", "success"]


def test_several_projects_at_once(
    room: Path, work: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        project = room / name
        write(project, "words", f"words of {name}; ")
        write(project, "pipe.yaml", f"environments: {{here: {{vars: {{WORD: '{name}'}}}}}}")
        write(project, "plugins/greet.py", PLUGIN.format(text=f"greets from {name}"))
        write(project, "mixed.yaml", MIXED.replace("{text}", name))
        monkeypatch.chdir(project)
        submit("mixed.yaml")
    work("--drain", "--jobs", "2")
    assert results() == ["success"] * 2
    for run, name in ((1, "first"), (2, "second")):
        assert f"words of {name}; {name} {name}" in printed(run)
        assert f"greets from {name}" in printed(run)


def test_what_is_edited_after_it_was_queued_changes_nothing(
    room: Path, work: Callable[..., Finished]
) -> None:
    def say(word: str) -> None:
        write(Path(), "words", f"words {word}; ")
        write(Path(), "pipe.yaml", f"environments: {{here: {{vars: {{WORD: '{word}'}}}}}}")
        write(Path(), "plugins/greet.py", PLUGIN.format(text=f"greets {word}"))
        write(Path(), "mixed.yaml", MIXED.replace("{text}", word))

    say("before")
    submit("mixed.yaml")
    say("after")
    work("--drain")
    assert results() == ["success"]
    shown = printed(1)
    assert "words before; before before" in shown
    assert "greets before" in shown
    assert "after" not in shown


# -- what jobs get of it


def test_secrets_of_the_worker_reach_jobs_and_are_masked(
    room: Path, run_pipe: RunPipe, pipe_home: Path
) -> None:
    text = '${{ secrets.TOKEN }}; echo ${{ secrets.TOKEN }} | sed "s/top/is /"'
    write(Path(), "secret.yaml", ONE.format(labels="self-hosted", text=text))
    submit("secret.yaml")
    options = ("--host", "--drain", "--secret", "TOKEN", "--log-level", "debug")
    ended = run_pipe("worker", *options, cwd=room, env={"TOKEN": "topsecret"})
    assert ended.exit_code == 0, ended.stderr
    assert results() == ["success"]
    assert "is secret" in printed(1), "the job got it"
    assert "***" in printed(1)
    assert "topsecret" not in ended.stderr
    kept = [file for file in pipe_home.rglob("*") if file.is_file()]
    assert [file for file in kept if b"topsecret" in file.read_bytes()] == []


def test_a_source_that_is_gone_fails_the_run_and_says_so(
    room: Path, work: Callable[..., Finished], pipe_home: Path
) -> None:
    submit("one.yaml")
    shutil.rmtree(pipe_home / "snapshots")
    lines = told(work("--drain"))
    assert results() == ["failure"]
    [error] = [line for line in lines if line["level"] == "error"]
    assert "the copy of the source that this run was queued with is gone" in error["message"]
    assert (error["run"], error["job"]) == (1, "one")


# -- what it tells


def test_lines_for_programs(room: Path, work: Callable[..., Finished]) -> None:
    submit("one.yaml")
    lines = told(work("--drain"))
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    of_run = [line for line in lines if line.get("run") == 1]
    assert {line["event"] for line in of_run if "event" in line} == {
        "RunStarted",
        "JobFinished",
        "RunFinished",
    }
    [ended] = [line for line in of_run if line.get("event") == "RunFinished"]
    assert ended["result"] == "success"
    assert lines[-1]["message"] == "worker ends"


def test_less_is_told_at_a_higher_level(room: Path, work: Callable[..., Finished]) -> None:
    submit("one.yaml")
    assert work("--drain", "--log-level", "error").stderr == ""
    assert results() == ["success"]
