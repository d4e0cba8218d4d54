"""Every folder in `cases/run` is a pipeline with what it must print and return, in each mode.

`pipeline.yaml` is run in a project that holds the folder's files. `case.yaml` says:
`args` of `pipe run`, `env` of the command, `exit` code, `prints` (texts in this order),
`never` (texts that must not show), `modes` of the engine (all of them unless named). A `pipe.yaml`
adds to the images that all cases have.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.source import load
from tests.conftest import RunPipe
from tests.leftovers import wait_until

CASES = Path(__file__).parent / "cases" / "run"
MODES = ("local", "framed", "remote")
CONFIG = """\
images:
  ubuntu-latest: pipe-test/debian:12
  small: pipe-test/busybox:1
  nonroot: pipe-test/nonroot:1
  entrypoint: pipe-test/entrypoint:1
  noshell: pipe-test/noshell:1
  node: pipe-test/node:24
  node20: pipe-test/node:24
  node24: pipe-test/node:24
"""


@dataclass(frozen=True)
class Case:
    """What `case.yaml` says."""

    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    exit: int = 0
    prints: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    modes: tuple[str, ...] = MODES


def read_case(folder: Path) -> Case:
    data: Any = load((folder / "case.yaml").read_text(), "case.yaml").data
    lists = ("args", "prints", "never", "modes")
    fields: dict[str, Any] = {
        key: tuple(value) if key in lists else value for key, value in data.items()
    }
    return Case(**fields)


def make_project(source: Path, target: Path) -> None:
    """A committed project with the case's files in it."""
    shutil.copytree(source, target, symlinks=True)
    (target / "case.yaml").unlink(missing_ok=True)
    config = target / "pipe.yaml"
    config.write_text(CONFIG + (config.read_text() if config.exists() else ""))
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=target, check=True, capture_output=True)


def all_cases() -> list[Any]:
    return [
        pytest.param(folder, mode, id=f"{folder.name}-{mode}")
        for folder in sorted(CASES.iterdir())
        for mode in read_case(folder).modes
    ]


@pytest.mark.docker
@pytest.mark.parametrize(("folder", "mode"), all_cases())
def test_case(folder: Path, mode: str, tmp_path: Path, run_pipe: RunPipe) -> None:
    case, project = read_case(folder), tmp_path / "project"
    make_project(folder, project)
    env = {"PIPE_ENGINE_MODE": mode, **case.env}
    finished = run_pipe("run", "pipeline.yaml", *case.args, cwd=project, env=env)
    shown = finished.stdout + finished.stderr
    assert finished.exit_code == case.exit, shown
    rest = shown
    for text in case.prints:
        assert text in rest, f"{text!r} is missing, or too early, in:\n{shown}"
        rest = rest.partition(text)[2]
    for text in case.never:
        assert text not in shown
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=project, check=True, capture_output=True
    )
    assert status.stdout == b"", "the run changed the checkout"


@pytest.mark.docker
def test_nothing_is_left_of_a_run(tmp_path: Path, run_pipe: RunPipe, pipe_home: Path) -> None:
    make_project(CASES / "hello", tmp_path / "project")
    assert run_pipe("run", "pipeline.yaml", cwd=tmp_path / "project").exit_code == 0
    assert list((pipe_home / "boxes").iterdir()) == []
    project = str((tmp_path / "project").resolve())
    left = ["docker", "ps", "-aq", "--filter", f"label=pipe.project={project}"]

    def is_gone() -> bool:
        return subprocess.run(left, check=True, capture_output=True).stdout == b""

    # The engine removes the container behind the result.
    wait_until(is_gone, "the container is still there")


@pytest.mark.docker
def test_json_events_are_one_object_a_line(tmp_path: Path, run_pipe: RunPipe) -> None:
    make_project(CASES / "hello", tmp_path / "project")
    finished = run_pipe("run", "pipeline.yaml", "--json", cwd=tmp_path / "project")
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "RunFinished"
    assert "hello" in "".join(event.get("text", "") for event in events)
