"""`pipe queue` and its commands, `workers`, `rerun`, `cancel`: over real stores and a real worker."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import queue
from runner.cli import group
from runner.errors import PipeError
from runner.store import Store, dead, hot, limits
from tests.conftest import RunPipe
from tests.leftovers import wait_until

pytestmark = pytest.mark.timeout(60)

CI = """\
name: CI
on: push
jobs:
  build:
    runs-on: self-hosted
    outputs:
      made: ${{ steps.make.outputs.made }}
    steps:
      - id: make
        run: |
          echo >> "$ROOM/built"
          echo "made=$(wc -l < "$ROOM/built" | tr -d ' ')" >> "$GITHUB_OUTPUT"
          echo thing > thing
      - uses: actions/upload-artifact@v4
        with:
          name: thing
          path: thing
  test:
    needs: build
    runs-on: self-hosted
    steps:
      - uses: actions/download-artifact@v4
        with:
          name: thing
      - name: Check it
        run: |
          echo "made ${{ needs.build.outputs.made }}, $(cat thing), for ${{ inputs.who }}"
          test -e "$ROOM/good"
"""
INPUTS = "on: {push: , workflow_dispatch: {inputs: {who: {}}}}"
SLOW = """\
on: push
jobs:
  wait:
    runs-on: self-hosted
    steps:
      - run: |
          touch "$ROOM/begun"
          sleep 100
"""
Pipe = Callable[..., str]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with pipelines, in which this process is; steps find `room` as ROOM."""
    room, project = tmp_path / "room", tmp_path / "project"
    for folder in (room, project / "pipelines"):
        folder.mkdir(parents=True)
    (project / "pipelines" / "ci.yaml").write_text(CI.replace("on: push", INPUTS))
    (project / "pipelines" / "slow.yaml").write_text(SLOW)
    monkeypatch.setenv("PIPE_ALLOW_HOST", "1")
    monkeypatch.setenv("ROOM", str(room))
    monkeypatch.chdir(project)
    return room


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(group, list(map(str, arguments)))


def pipe(*arguments: object) -> str:
    """What the command printed; it has to succeed."""
    ended = invoke(*arguments)
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.stdout


def refused(*arguments: object) -> str:
    """Why the command refused, which is no usage error."""
    error = invoke(*arguments).exception
    assert isinstance(error, PipeError), error
    return error.message


def as_json(*arguments: object) -> Any:
    return json.loads(pipe(*arguments, "--json"))


def submit(name: str = "ci", *options: object) -> int:
    return int(pipe("submit", name, *options))


@pytest.fixture
def work(run_pipe: RunPipe, room: Path) -> Callable[[], None]:
    """A worker that does all there is to do."""
    del room

    def drain() -> None:
        assert run_pipe("worker", "--drain").exit_code == 0

    return drain


@contextmanager
def working() -> Iterator[subprocess.Popen[bytes]]:
    command = [str(Path(sys.executable).with_name("pipe")), "worker", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as worker:
        try:
            yield worker
        finally:
            worker.kill()


# -- the state --


@pytest.mark.usefixtures("room")
def test_an_empty_queue_says_what_to_do() -> None:
    shown = pipe("queue")
    assert "nothing is queued; `pipe submit FILE` does that" in shown
    assert "no worker runs; `pipe worker` starts one" in shown
    assert "last hour: no run has ended" in shown
    assert as_json("queue")["queues"] == []


@pytest.mark.usefixtures("database_url")
def test_the_state_of_the_queue(room: Path) -> None:
    pipe("queue", "limit", "deployments", 1)
    submit("slow", "--queue", "deployments")
    submit("slow", "--queue", "deployments")
    submit("ci", "--delay", "1h")
    with working() as worker:
        wait_until((room / "begun").exists, "the step begins")
        wait_until(lambda: as_json("queue")["limits"][0]["waiting"] == 1, "one is held")
        state, shown = as_json("queue"), pipe("queue")
        assert "queue:deployments 1/1 running, 1 waits" in shown
        assert "the oldest waits for" in shown
        [known] = as_json("workers")
        assert (known["state"], known["slots"], known["labels"]) == ("working", 2, ["self-hosted"])
        assert [job["run"] for job in known["running"]] == [1]
        assert "  run 1 wait (slow)" in pipe("workers")
        worker.kill()
        worker.wait()
        assert as_json("workers")[0]["state"] == "gone"
    default, deployments = state["queues"]
    assert (default["queue"], default["later"], default["runs_waiting"]) == ("default", 1, 0)
    assert (deployments["running"], deployments["held"]) == (1, 1)
    [waits] = as_json("show", 2)["jobs"]
    assert waits["reason"] == "waits for limit queue:deployments: 1 of 1 running"
    assert waits["waits"]["scope"] == "queue:deployments"


def test_past_runs_are_counted(room: Path, work: Callable[[], None]) -> None:
    submit()
    (room / "good").touch()
    submit()
    (room / "good").unlink()
    work()
    hour = as_json("queue")["last_hour"]
    assert (hour["runs"], hour["ended"], hour["failure_rate"]) == (2, {"failure": 2}, 1.0)
    assert 0 < hour["median"] <= hour["p95"]
    assert "2 dead letters (2 failed): `pipe queue dead`" in pipe("queue")


# -- limits --


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("global", "global 3"),
        ("deploys", "queue:deploys 3"),
        ("queue:deploys", "queue:deploys 3"),
        ("owner:ann", "owner:ann 3"),
        ("project:.", "project:{project} 3"),
        ("pipeline:ci", "pipeline:{project}/pipelines/ci.yaml 3"),
    ],
)
def test_every_scope_has_limits(room: Path, scope: str, shown: str) -> None:
    expected = shown.format(project=room.parent / "project").rpartition(" ")[0]
    assert pipe("queue", "limit", scope, 3) == f"{expected} 0/3 running\n"
    assert pipe("queue", "limit", scope) == f"{expected} 0/3 running\n"
    assert f"{expected} 0/3 running\n" in pipe("queue", "limit")
    assert pipe("queue", "limit", scope, "none") == f"{expected} has no limit\n"


@pytest.mark.usefixtures("room")
def test_limits_of_a_day() -> None:
    pipe("queue", "limit", "owner:ann", 2)
    assert pipe("queue", "limit", "owner:ann", "--per-day", 5, "--refuse") == (
        "owner:ann 0/2 running, 0/5 started today (UTC), more are refused\n"
    )
    assert pipe("queue", "limit", "owner:ann", "--wait") == (
        "owner:ann 0/2 running, 0/5 started today (UTC), more wait\n"
    )
    assert as_json("queue", "limit", "owner:ann")[0]["per_day"] == 5
    assert "0/2 running\n" in pipe("queue", "limit", "owner:ann", "--per-day", "none")
    assert "--per-day" in refused("queue", "limit", "owner:ann", "--refuse")


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("limit", "team:a"), "`team` has no limits"),
        (("limit", "owner:"), "`owner:` names nothing"),
        (("limit", "project:nowhere"), "there is no folder `nowhere`"),
        (("limit", "pipeline:nowhere"), "there is no pipeline `nowhere`"),
        (("limit", "--per-day", "1"), "which limit?"),
        (("requeue", "7"), "run 7 is no dead letter"),
        (("purge",), "which dead letters?"),
        (("purge", "7", "--all"), "name runs, or say what they have in common"),
        (("dead", "7"), "run 7 is no dead letter"),
        (("limit", "a b", "3"), "`a b` is no name of a queue"),
        (("pause", "queue:a/b"), "`a/b` is no name of a queue"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused("queue", *arguments)


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--queue", "a b"), "`a b` is no name of a queue"),
        (("--owner", " "), "`--owner` names nobody"),
        (("--key", ""), "`--key` is empty: all runs would be the same"),
        (("--wait", "--json"), "`--wait` and `--json` exclude each other"),
    ],
)
def test_what_cannot_be_submitted_is_refused(options: tuple[str, ...], message: str) -> None:
    assert message in refused("submit", "ci", *options)


def test_a_worker_that_drains_says_what_stays(
    room: Path, run_pipe: RunPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    del room
    submit()
    monkeypatch.delenv("PIPE_ALLOW_HOST")
    ended = run_pipe("worker", "--drain", "--jobs", "1")
    assert ended.exit_code == 0
    assert "takes up to 1 job at a time\n" in ended.stderr
    stays = "1 job stays, which asks for what this worker has not: self-hosted"
    assert f"{stays} (`pipe worker --host`)\n" in ended.stderr


def test_a_worker_that_stops_says_what_it_waits_for(room: Path) -> None:
    submit("slow")
    command = [str(Path(sys.executable).with_name("pipe")), "worker", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr
        wait_until((room / "begun").exists, "the job runs")
        worker.terminate()
        said = next(line for line in worker.stderr if "asked to stop" in line)
        worker.terminate()
        worker.communicate()
    assert "ends when what runs has ended" in said


@pytest.mark.usefixtures("room")
def test_filters_that_fit_nothing_say_so() -> None:
    assert pipe("queue", "requeue", "--owner", "nobody") == "there are no such dead letters\n"


@pytest.mark.usefixtures("room")
def test_who_is_over_a_quota_is_told(run_pipe: RunPipe) -> None:
    pipe("queue", "limit", "owner:ann", "--per-day", 1, "--refuse")
    submit("ci", "--owner", "ann")
    ended = run_pipe("submit", "ci", "--owner", "ann", cwd=Path.cwd())
    assert ended.exit_code == 1
    assert "error: owner:ann has had its 1 runs of today: 0 started, 1 wait" in ended.stderr
    assert "`pipe queue limit owner:ann`" in ended.stderr
    assert len(as_json("runs")) == 1


def test_a_running_worker_obeys_at_once(room: Path, run_pipe: RunPipe) -> None:
    del run_pipe
    (room / "good").touch()
    pipe("queue", "pause", "all")
    with working():
        wait_until(lambda: as_json("workers") != [], "a worker")
        submit()
        assert as_json("runs")[0]["reason"] == "the queue is paused"
        pipe("queue", "resume", "all")
        wait_until(lambda: as_json("runs")[0]["state"] == "finished", "it runs")
    assert as_json("runs")[0]["result"] == "success"


@pytest.mark.usefixtures("room")
def test_pausing_and_resuming() -> None:
    assert pipe("queue", "pause", "deployments") == "queue:deployments paused, 0/5 running\n"
    assert pipe("queue", "pause", "owner:ann") == "owner:ann paused\n"
    assert pipe("queue", "resume", "deployments") == "queue:deployments 0/5 running\n"
    pipe("queue", "pause", "all")
    resumed = pipe("queue", "resume", "all")
    assert resumed == "global has no limit\nowner:ann has no limit\n"


# -- dead letters --


@pytest.mark.usefixtures("database_url")
def test_from_death_to_success(room: Path, work: Callable[[], None]) -> None:
    submit("ci", "--input", "who=ann")
    work()
    [letter] = as_json("queue", "dead")
    assert (letter["run"], letter["kind"], letter["job"]) == (1, "failed", "test")
    told = pipe("queue", "dead", 1)
    assert "test #1: failure" in told
    assert "test, step `Check it` failed, exit code 1  pipelines/ci.yaml:" in told
    assert "  | made 1, thing, for ann\n" in told
    assert as_json("queue", "dead", 1)["output"][0] == "made 1, thing, for ann"
    assert pipe("queue", "requeue", 1) == "run 1 is queued again as run 2\n"
    assert as_json("queue", "dead") == []
    assert refused("queue", "requeue", 1) == "run 1 was requeued already, as run 2"
    # The source is that of then, whatever became of it.
    Path("pipelines/ci.yaml").write_text("broken")
    (room / "good").touch()
    work()
    second = as_json("show", 2)
    assert [job["reason"] for job in second["jobs"]] == ["reused from run 1", ""]
    assert (second["result"], second["rerun_of"], second["owner"]) == (
        "success",
        1,
        as_json("show", 1)["owner"],
    )
    assert (room / "built").read_text() == "\n"
    assert "test | made 1, thing, for ann\n" in pipe("logs", 2)
    assert refused("queue", "requeue", 1) == "run 1 was requeued already, as run 2"
    assert "(requeued as run 2)" in pipe("queue", "dead", "--requeued")


def test_a_requeue_that_fails_can_be_tried_again(room: Path, work: Callable[[], None]) -> None:
    submit()
    work()
    pipe("queue", "requeue", 1)
    work()
    assert [letter["run"] for letter in as_json("queue", "dead")] == [2]
    assert pipe("queue", "requeue", 2) == "run 2 is queued again as run 3\n"
    # The first one goes on as the third, which waits.
    assert refused("queue", "requeue", 1) == "run 1 was requeued already, as run 3"
    work()
    assert pipe("queue", "requeue", 1, "--from-start") == "run 1 is queued again as run 4\n"
    work()
    assert (room / "built").read_text() == "\n\n"


@pytest.mark.usefixtures("room", "database_url")
def test_letters_are_chosen_by_what_they_have_in_common(work: Callable[[], None]) -> None:
    for owner, name in (("ann", "a"), ("bob", "a"), ("bob", "b")):
        submit("ci", "--owner", owner, "--queue", name)
    work()

    def runs(*filters: object) -> list[int]:
        return [letter["run"] for letter in as_json("queue", "dead", *filters)]

    assert runs() == [3, 2, 1]
    assert runs("--owner", "bob") == [3, 2]
    assert runs("--queue", "a", "--owner", "bob") == [2]
    assert runs("--run", 1, "--run", 3) == [3, 1]
    assert runs("--file", "pipelines/ci.yaml") == [3, 2, 1]
    assert (
        runs("--file", "ci.yaml") == runs("--kind", "timeout") == runs("--older-than", "1h") == []
    )
    assert runs("--newer-than", "1h", "--kind", "failed") == [3, 2, 1]
    assert json.loads(pipe("queue", "requeue", "--owner", "bob", "--json")) == {"2": 4, "3": 5}
    assert runs() == [1]
    assert pipe("queue", "purge", "--queue", "a") == "2 dead letters purged\n"
    assert runs("--requeued") == [3]


def test_several_are_requeued_or_none(room: Path, pipe_home: Path, work: Any) -> None:
    del room
    for _ in range(2):
        submit()
    work()
    pipe("queue", "purge", 2)
    assert refused("queue", "requeue", 1, 2) == "run 2 is no dead letter"
    with Store.open(pipe_home) as store:
        assert dead.letters(store.notes, 1)[0].requeued_as is None


def test_what_cannot_be_read_is_requeued_when_it_can_be(room: Path, pipe_home: Path) -> None:
    del room
    submit()
    submit()
    with Store.open(pipe_home) as store:
        text = hot.load_run(store.notes, 1).submission.text
        for run in (1, 2):
            queue.abandon(store, run, "it is broken", store.now())
        with store.promises.writing() as database:
            database.execute("UPDATE submission SET text = 'on: [' WHERE run = 1")
    assert as_json("queue", "dead", "--kind", "unparseable")[1]["error"] == "it is broken"
    assert invoke("queue", "requeue", 1).exception is not None
    some = invoke("queue", "requeue", "--all")
    assert (some.exit_code, some.stdout) == (1, "run 2 is queued again as run 3\n")
    assert some.stderr.startswith("warning: run 1 stays: ")
    with Store.open(pipe_home) as store, store.promises.writing() as database:
        database.execute("UPDATE submission SET text = :text WHERE run = 1", {"text": text})
    assert pipe("queue", "requeue", 1) == "run 1 is queued again as run 4\n"


def test_purging_lets_the_source_go(pipe_home: Path, work: Callable[[], None]) -> None:
    submit()
    work()
    assert list((pipe_home / "snapshots").rglob("*.pin-*"))
    assert pipe("queue", "purge", "--all") == "1 dead letter purged\n"
    assert list((pipe_home / "snapshots").rglob("*.pin-*")) == []
    assert [run["id"] for run in as_json("runs")] == [1]


# -- once more --


def test_a_submitted_run_is_queued_again(room: Path, work: Callable[[], None]) -> None:
    submit()
    assert "has not ended yet" in refused("rerun", 1)
    work()
    assert pipe("rerun", 1, "--failed") == "2\n"
    assert as_json("queue", "dead") == []
    (room / "good").touch()
    work()
    assert (room / "built").read_text() == "\n"
    assert "nothing failed in run 2" in refused("rerun", 2, "--failed")
    assert pipe("rerun", 2) == "3\n"
    work()
    assert [job["reason"] for job in as_json("show", 3)["jobs"]] == ["", ""]


def test_a_run_of_pipe_run_runs_here_again(room: Path, run_pipe: RunPipe, tmp_path: Path) -> None:
    project = Path.cwd()
    first = run_pipe("run", "ci", "--input", "who=ann", "--host", cwd=project)
    assert first.exit_code == 1
    (room / "good").touch()
    again = run_pipe("rerun", "1", "--failed", cwd=tmp_path)
    assert again.exit_code == 0, again.stderr
    assert "pipe run ci --input who=ann --host --from-failed 1\n" in again.stderr
    assert "for ann" in again.stdout
    assert (room / "built").read_text() == "\n"


def test_a_command_with_a_secret_in_it_is_not_typed_again(room: Path, run_pipe: RunPipe) -> None:
    del room
    run_pipe("run", "ci", "-s", "TOKEN=topsecret", "--input", "who=topsecret", cwd=Path.cwd())
    assert "held a secret" in refused("rerun", 1)


# -- cancel --


def test_a_run_that_waits_is_cancelled(room: Path, pipe_home: Path) -> None:
    del room
    pipe("queue", "limit", "closed", 0)
    runs = [submit(), submit("ci", "--delay", "1h"), submit("ci", "--queue", "closed")]
    with Store.open(pipe_home) as store:
        limits.change(store.promises, limits.Scope("global", "", paused=True), store.now())
        assert queue.lease(store, "me", labels=["self-hosted"], now=store.now()) == []
    for run in runs:
        assert pipe("cancel", run) == f"run {run} is cancelled\n"
    assert {run["result"] for run in as_json("runs")} == {"cancelled"}
    assert list((pipe_home / "snapshots").rglob("*.pin-*")) == []


def test_a_running_run_is_cancelled(room: Path) -> None:
    submit("slow")
    with working():
        wait_until((room / "begun").exists, "the step begins")
        assert "0 % done: 0 of 1 job, 0 of 1 step" in pipe("show", 1)
        assert pipe("cancel", 1) == "run 1 is asked to stop\n"
        wait_until(lambda: as_json("runs")[0]["result"] == "cancelled", "it ends")
