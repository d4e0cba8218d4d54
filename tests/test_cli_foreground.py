"""A run in this process: what it needs before it starts, and what it lets go."""

from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import group
from runner.errors import EnvironmentMissingError
from runner.store import Store
from tests.conftest import RunPipe

PIPELINE = """\
on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - run: echo built
  windows:
    if: github.event_name == '%s'
    runs-on: windows-latest
    steps:
      - run: make
  after-windows:
    needs: windows
    runs-on: windows-latest
    steps:
      - run: make
"""


def test_a_job_that_is_skipped_needs_no_machine(run_pipe: RunPipe, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE % "never")
    finished = run_pipe("run", "p.yaml", "--host", "--progress", "plain")
    assert finished.exit_code == 0, finished.stdout + finished.stderr
    assert "build         | built\n" in finished.stdout


def test_a_job_that_can_run_needs_its_machine(run_pipe: RunPipe, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE % "push")
    refused = run_pipe("run", "p.yaml", "--host")
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert "`runs-on` asks for `windows-latest`" in refused.stderr


def test_a_view_that_cannot_be_shown_starts_no_run(
    run_pipe: RunPipe, tmp_path: Path, pipe_home: Path
) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE % "never")
    assert run_pipe("run", "p.yaml", "--host", "--progress", "live").exit_code == 4
    with Store.open(pipe_home) as store:
        assert list(store.events(1)) == []


def test_a_run_that_is_refused_lets_its_source_go(
    tmp_path: Path, pipe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(PIPELINE % "push")
    refused = CliRunner().invoke(group, ["run", "p.yaml", "--host"])
    assert isinstance(refused.exception, EnvironmentMissingError)
    snapshots = pipe_home / "snapshots"
    assert snapshots.exists()
    assert [path for path in open_files() if path.is_relative_to(snapshots)] == []


def open_files() -> list[Path]:
    """What the descriptors of this process are open for."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # One that was open for listing them is gone by now.
        with suppress(FileNotFoundError):
            found.append(descriptor.readlink())
    return found
