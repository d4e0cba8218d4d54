"""The process that deploys is killed at every line of its journal."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.delivery.call import Nowhere
from runner.delivery.order import Ending
from runner.delivery.recovery import recover_one
from runner.delivery.unfinished import unfinished
from runner.store import Store
from runner.store.deliveries import deployments, journal, live, releases
from tests.deployed import World, desk
from tests.deploying import deploy

ROOT = Path(__file__).parents[1]


def kill(home: Path, world: World, version: str, strategy: str, lines: int) -> None:
    """Deploy in a process that dies after so many lines, or (negative) before the last of them."""
    arguments = [str(home), str(world.file), version, strategy, str(lines)]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.deploying", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def recovered(home: Path, world: World) -> Ending | None:
    """How the deployment that was left ended; None when none was."""
    with Store.open(home) as store:
        there = desk(store, world)
        found = [recover_one(there, each, Nowhere(), {}) for each in unfinished(store)]
        assert unfinished(store) == []
        return found[0] if found else None


def holds_together(home: Path, world: World) -> str:
    """The version that is live, if what is recorded is what runs, and nothing else does."""
    [version] = world.versions()
    state = world.read()
    gaps = [weights for weights in state["gaps"] if any(weights.values())]
    assert not gaps, "there was no serving version"
    with Store.open(home) as store:
        [subject] = {each.subject for each in deployments(store.promises)}
        found = live(store.promises, subject)
        assert found is not None
        assert not found.is_held(store.now())
        known = {each.number: each for each in releases(store.promises, subject)}
        assert found.release is not None
        assert known[found.release].version == version
        assert all(each.finished_at for each in deployments(store.promises))
    serving = {name for name, weight in state["weights"].items() if weight}
    assert world.running() == serving, "an instance runs that nobody needs"
    return version


def lines_of(home: Path, world: World, version: str, strategy: str) -> int:
    """How many lines a deployment writes that nobody kills."""
    deploy(home, world, version, strategy)
    with Store.open(home) as store:
        last = [each.id for each in deployments(store.promises) if each.release == 2 or each.cause]
        return sum(len(journal(store.promises, each)) for each in last)


@pytest.mark.parametrize("strategy", ["rolling", "blue-green", "canary", "recreate"])
@pytest.mark.parametrize("version", ["good", "bad"])
@pytest.mark.faults
def test_killed_at_every_line(tmp_path: Path, strategy: str, version: str) -> None:
    everything(tmp_path, strategy, version, step=1)


@pytest.mark.parametrize(("strategy", "version"), [("blue-green", "good"), ("canary", "bad")])
def test_killed_at_some_lines(tmp_path: Path, strategy: str, version: str) -> None:
    everything(tmp_path, strategy, version, step=4)


def test_a_plugin_that_ends_the_process(tmp_path: Path) -> None:
    home, world = tmp_path / "home", World(tmp_path / "world.json")
    deploy(home, world, "old", "blue-green")
    command = [sys.executable, "-m", "tests.deploying", str(home), str(world.file)]
    ended = subprocess.run([*command, "exit", "blue-green", "0"], cwd=ROOT, check=False)
    assert ended.returncode == 7
    assert world.versions() == {"old"}
    recovered(home, world)
    assert holds_together(home, world) == "old"


def everything(folder: Path, strategy: str, version: str, step: int) -> None:
    before, trial = folder / "before", folder / "trial"
    before.mkdir()
    deploy(before / "home", World(before / "world.json"), "old", strategy)
    shutil.copytree(before, trial)
    count = lines_of(trial / "home", World(trial / "world.json"), version, strategy)
    for lines in range(1, count + 1, step):
        for sign in (1, -1):
            case = folder / f"{sign * lines}"
            shutil.copytree(before, case)
            home, world = case / "home", World(case / "world.json")
            kill(home, world, version, strategy, sign * lines)
            if strategy != "recreate":
                assert world.versions(), f"nobody served after line {sign * lines}"
            recovered(home, world)
            live_now = holds_together(home, world)
            assert live_now in ("old", version) if version == "good" else live_now == "old"
            expected = {"good": "succeeded", "bad": "rolled-back"}[version]
            assert deploy(home, world, version, strategy) == expected
            holds_together(home, world)
