"""`pipe approve` and `pipe lock`, over real stores, a real worker and a run in the foreground."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import queue
from runner.cli import group
from runner.errors import PipeError
from runner.store import Store, deliveries
from runner.store.deliveries import Opening, Subject, open_deployment
from tests.conftest import RunPipe
from tests.leftovers import wait_until

pytestmark = pytest.mark.timeout(120)

SHIP = """\
on: push
jobs:
  ship:
    runs-on: self-hosted
    environment: production
    steps:
      - run: echo shipped
"""
REVIEWED = "environments: {production: {reviewers: [ann, bo]}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "ship.yaml").write_text(SHIP)
    (folder / "pipe.yaml").write_text(REVIEWED)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PIPE_ALLOW_HOST", "1")
    return folder


def pipe(*arguments: object) -> str:
    ended = CliRunner().invoke(group, [*map(str, arguments)])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.stdout


def refused(*arguments: object) -> str:
    ended = CliRunner().invoke(group, [*map(str, arguments)])
    assert isinstance(ended.exception, PipeError), ended.output
    return ended.exception.message


def as_json(*arguments: object) -> Any:
    return json.loads(pipe(*arguments, "--json"))


@contextmanager
def started(*arguments: str, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A `pipe` that goes on; what it says stands in the file."""
    with said.open("wb") as out:
        program = Path(sys.executable).with_name("pipe")
        process = subprocess.Popen([program, *arguments], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_run_in_the_foreground_waits(project: Path) -> None:
    said = project.parent / "said"
    with started("run", "ship.yaml", said=said) as run:
        ask = "waits for approval of production: pipe approve 1"
        wait_until(lambda: ask in said.read_text(), said.read_text)
        assert pipe("approve", 1, "--as", "bo", "--comment", "ok") == (
            "job `ship` for production is approved\n"
        )
        assert run.wait(60) == 0
    text = said.read_text()
    assert text.index(ask) < text.index("bo approved production: ok") < text.index("shipped")
    assert text.count(ask) == 1


def test_a_run_in_the_foreground_is_cancelled_while_it_waits(project: Path) -> None:
    said = project.parent / "said"
    with started("run", "ship.yaml", said=said) as run:
        wait_until(lambda: "pipe approve 1" in said.read_text(), said.read_text)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
    assert as_json("show", 1)["result"] == "cancelled"


def test_a_secret_does_not_name_another_environment(project: Path, run_pipe: RunPipe) -> None:
    named = "${{ github.token && 'production' || 'staging' }}"
    (project / "ship.yaml").write_text(SHIP.replace("production", named))
    ended = run_pipe("run", "ship.yaml", "--secret", "GITHUB_TOKEN=t0ken", cwd=project)
    assert ended.exit_code == 0, ended
    assert as_json("show", 1)["jobs"][0]["environment"] == "staging"


@pytest.mark.usefixtures("database_url")
def test_a_submitted_run_waits_without_a_worker(project: Path, run_pipe: RunPipe) -> None:
    number = int(pipe("submit", "ship.yaml"))
    # Its own pull request must not lift the protection that it was submitted under.
    (project / "pipe.yaml").write_text("environments: {production: }\n")
    for _ in range(2):
        worked = run_pipe("worker", "--drain", cwd=project)
        assert worked.exit_code == 0
        assert "1 job waits in front of an environment" in worked.stdout + worked.stderr
        assert "waits for approval of production by ann or bo" in pipe("show", number)
    state = as_json("queue")
    [waits] = state["environments"]
    assert (waits["run"], waits["kind"], waits["reviewers"]) == (number, "approval", ["ann", "bo"])
    assert "environments\n  run 1, `ship`: waits for approval of production" in pipe("queue")
    assert "eve may not review" in refused("approve", number, "--as", "eve")
    [said] = as_json("approve", number, "--as", "Ann", "--comment", "go")
    assert said["missing"] == 0
    assert run_pipe("worker", "--drain", cwd=project).exit_code == 0
    shown = as_json("show", number)
    assert shown["result"] == "success"
    [approval] = shown["approvals"]
    assert (approval["name"], approval["verdict"], approval["comment"]) == ("Ann", "approved", "go")
    assert "production approved by Ann, " in pipe("show", number)
    assert "nothing of run 1 waits for approval" in refused("approve", number)


def test_rejecting(project: Path) -> None:
    number = int(pipe("submit", "ship.yaml"))
    assert pipe("approve", number, "--as", "ann", "--reject", "--comment", "no") == (
        "job `ship` for production is rejected\n"
    )
    assert as_json("show", number)["jobs"][0]["reason"] == "rejected"


def test_locking(project: Path, run_pipe: RunPipe) -> None:
    assert pipe("lock") == "no environment is locked\n"
    assert pipe("lock", "Production", "--message", "freeze", "--as", "ann") == (
        "Production is locked\n"
    )
    assert "is locked by ann: freeze" in refused("lock", "production", "--as", "bo")
    assert pipe("lock").startswith("Production is locked by ann: freeze, since ")
    (project / "pipe.yaml").write_text("")
    number = int(pipe("submit", "ship.yaml"))
    assert "production is locked by ann: freeze" in pipe("show", number)
    assert as_json("lock", "PRODUCTION", "--release") == []
    assert run_pipe("worker", "--drain", cwd=project).exit_code == 0
    assert as_json("show", number)["result"] == "success"
    assert "which environment?" in refused("lock", "--release")


def test_a_paused_deployment_goes_on(project: Path, pipe_home: Path) -> None:
    number = int(pipe("submit", "ship.yaml"))
    pipe("approve", number, "--as", "ann")
    with Store.open(pipe_home) as store:
        record = _paused(store, number)
        assert "eve may not review" in refused("approve", number, "--as", "eve")
        [said] = as_json("approve", number, "--as", "bo", "--comment", "fine")
        assert said["deployment"] == record
        [entry] = deliveries.journal(store.notes, record)
        assert (entry.kind, entry.data) == ("promoted", {"by": "bo", "comment": "fine"})
        pipe("approve", number, "--as", "bo", "--reject", "--environment", "PRODUCTION")
        assert deliveries.journal(store.notes, record)[-1].kind == "rejected"
        deliveries_of: Mapping[str, Any] = as_json("show", number)
    assert [each["verdict"] for each in deliveries_of["approvals"]] == [
        *("approved", "approved", "rejected"),
    ]


def _paused(store: Store, run: int) -> int:
    subject = Subject("shop", "production")
    opening = Opening(subject, 1, "deploy", "k", run, "ship", "s", "al", "", store.now() + 60)
    record = open_deployment(store.promises, opening, store.now())
    process = queue.process_identity()
    token = deliveries.try_take(store.promises, subject, record.id, process, store.now())
    assert isinstance(token, int)
    with store.promises.writing() as database:
        values = {"id": record.id}
        database.execute("UPDATE deployment SET state = 'paused' WHERE id = :id", values)
    return record.id
