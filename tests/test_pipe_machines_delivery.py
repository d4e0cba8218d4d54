"""Whole deployments to a machine: there and back, and in processes that are killed on the way."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.delivery.recovery import recover_one, unfinished
from runner.store import Store
from runner.store.deliveries import deployments, journal
from tests.released import desk, release, surroundings

ROOT = Path(__file__).parents[1]


def page(folder: Path) -> str:
    return (folder / "www" / "current" / "index.html").read_text()


def test_a_release_follows_another(tmp_path: Path) -> None:
    assert [release(tmp_path, version) for version in ("v1", "v2")] == ["succeeded"] * 2
    assert page(tmp_path) == "this is v2"


def test_a_bad_release_goes_back(tmp_path: Path) -> None:
    assert release(tmp_path, "v1") == "succeeded"
    assert release(tmp_path, "bad") == "rolled-back"
    assert page(tmp_path) == "this is v1"


def test_a_first_release_that_is_bad_leaves_nothing_live(tmp_path: Path) -> None:
    assert release(tmp_path, "bad") == "failed"
    assert not (tmp_path / "www" / "current").is_symlink()


@pytest.mark.parametrize("version", ["good", "bad"])
@pytest.mark.faults
def test_killed_at_every_line(tmp_path: Path, version: str) -> None:
    everything(tmp_path, version, step=1)


def test_killed_at_some_lines(tmp_path: Path) -> None:
    everything(tmp_path, "bad", step=6)


def everything(tmp_path: Path, version: str, step: int) -> None:
    """A version is always live, and it is the one that is recorded in the end."""
    last = lines_of(tmp_path / "whole", version)
    for line in [*range(1, last, step), -last]:
        folder = tmp_path / f"{line}"
        release(folder, "v1")
        kill(folder, version, line)
        assert page(folder) in ("this is v1", f"this is {version}")
        recover(folder)
        assert page(folder) in ("this is v1", "this is good")
        assert release(folder, "v3") == "succeeded"
        assert page(folder) == "this is v3"


def lines_of(folder: Path, version: str) -> int:
    """How many lines a deployment writes that nobody kills."""
    for each in ("v1", version):
        release(folder, each)
    with Store.open(folder / "home") as store:
        last = [each.id for each in deployments(store.promises) if each.release == 2 or each.cause]
        return sum(len(journal(store.promises, each)) for each in last)


def kill(folder: Path, version: str, lines: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.released", str(folder), version, str(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def recover(folder: Path) -> None:
    with Store.open(folder / "home") as store:
        there = desk(store)
        for each in unfinished(there):
            recover_one(there, each, surroundings(folder), {})
        assert unfinished(there) == []
