"""`pipe artifacts`: what a run left, on paper and as files."""

import json
import time
from pathlib import Path

import pytest

from runner import queue
from runner.plan import plan
from runner.storage import Artifact, Origin, Storage
from runner.storage.tar_read import Member
from runner.storage.tar_write import END, header, padding
from runner.storage.untrusted import Tally
from runner.store import Store
from tests.conftest import RunPipe
from tests.test_cases import make_project

PIPELINE = "{on: push, jobs: {build: {runs-on: ubuntu-latest, steps: [{run: make}]}}}"


@pytest.fixture
def storage(pipe_home: Path) -> Storage:
    """The store of a home in which run 1 was started."""
    pipeline = queue.load_pipeline("p.yaml", PIPELINE)
    submission = queue.Submission(file="p.yaml", text=PIPELINE, project="/project", name="run")
    with Store.open(pipe_home) as store:
        queue.enqueue(store, submission, plan(pipeline, {}), 1.0)
    return Storage(pipe_home)


def put(storage: Storage, name: str, days: float = 1) -> Artifact:
    content = b"hello"
    pieces = [header(Member("sub/a.txt", "file", 5)), content, padding(5), END]
    origin = Origin("/project", 1, "build", 1)
    return storage.artifacts.store(origin, name, pieces, Tally(1, 5), days=days)


def test_a_list(storage: Storage, run_pipe: RunPipe) -> None:
    assert run_pipe("artifacts", "1").stdout == "run 1 has no artifacts\n"
    artifact = put(storage, "dist")
    put(storage, "hostile \x1b[2J\u202e")
    put(storage, "expired", days=-1)
    head, first, second = run_pipe("artifacts", "1").stdout.splitlines()
    assert head.split() == ["NAME", "FILES", "SIZE", "EXPIRES", "SHA-256"]
    assert first.split()[:4] == ["dist", "1", "5", "B"]
    assert first.endswith(artifact.digest)
    assert second.startswith("hostile [2J ")


def test_a_list_for_programs(storage: Storage, run_pipe: RunPipe) -> None:
    artifact = put(storage, "dist")
    [found] = json.loads(run_pipe("artifacts", "1", "--json").stdout)
    assert (found["name"], found["digest"], found["files"]) == ("dist", artifact.digest, 1)
    assert found["expires"] > time.time()


def test_unpacking(storage: Storage, run_pipe: RunPipe, tmp_path: Path) -> None:
    put(storage, "dist")
    assert run_pipe("artifacts", "1", "dist").stdout == "dist is in dist (1 file, 5 B)\n"
    assert (tmp_path / "dist" / "sub" / "a.txt").read_text() == "hello"
    again = run_pipe("artifacts", "1", "dist")
    assert (again.exit_code, "dist is there already" in again.stderr) == (2, True)
    other = tmp_path / "a" / "b"
    assert run_pipe("artifacts", "1", "dist", "--to", other).exit_code == 0
    assert (other / "sub" / "a.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("2",), 2, "there is no run 2"),
        (("x",), 2, "not a valid integer"),
        (("1", "dits"), 2, "did you mean `dist`?"),
        (("1", "zzz"), 2, "it has dist"),
        (("1", "--to", "here"), 2, "`--to` needs the name of an artifact"),
    ],
)
def test_what_is_refused(
    storage: Storage, run_pipe: RunPipe, arguments: tuple[str, ...], code: int, says: str
) -> None:
    put(storage, "dist")
    finished = run_pipe("artifacts", *arguments)
    assert finished.exit_code == code
    assert says in finished.stderr


def test_a_damaged_one_leaves_nothing(storage: Storage, run_pipe: RunPipe, tmp_path: Path) -> None:
    blob = storage.blobs.path(put(storage, "dist").digest)
    blob.write_bytes(blob.read_bytes().replace(b"hello", b"HELLO"))
    finished = run_pipe("artifacts", "1", "dist")
    assert finished.exit_code == 4
    assert "is damaged" in finished.stderr
    assert list(tmp_path.iterdir()) == []


FROM_FAILED = """\
on: workflow_dispatch
jobs:
  build:
    runs-on: small
    steps:
      - run: mkdir out && echo built > out/app
      - uses: actions/upload-artifact@v4
        with: { name: dist, path: out }
  test:
    needs: build
    runs-on: small
    steps:
      - uses: actions/download-artifact@v4
        with: { name: dist }
      - run: cat app && ${{ vars.END }}
"""


@pytest.mark.docker
def test_artifacts_of_reused_jobs_come_along(
    tmp_path: Path, run_pipe: RunPipe, pipe_home: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "pipeline.yaml").write_text(FROM_FAILED)
    project = tmp_path / "project"
    make_project(source, project)
    failed = run_pipe("run", "pipeline.yaml", "--var", "END=false", cwd=project)
    assert failed.exit_code == 1
    command = ("run", "pipeline.yaml", "--from-failed", "1", "--var", "END=true")
    again = run_pipe(*command, cwd=project)
    assert again.exit_code == 0, again.stdout
    assert "reused from run 1" in again.stdout
    assert "built" in again.stdout
    assert [each.run for each in Storage(pipe_home).artifacts.of_run(2)] == [2]
