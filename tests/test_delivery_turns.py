"""Several processes that deploy the same: in turn, and whoever was halted comes too late."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.store import Store
from runner.store.deliveries import deployments, journal, live
from tests.deployed import World
from tests.leftovers import wait_until
from tests.load import under_load
from tests.shops import Shop, open_shop, shipping

ROOT = Path(__file__).parents[1]


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def halted(process: subprocess.Popen[str]) -> bool:
    """Whether it stands still by its own wish."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_processes_deploy_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """The first is halted until the others stand in line; each sees what the one before has left."""
    world = World(tmp_path / "world.json")
    deploy = [sys.executable, "-m", "tests.deploying", str(tmp_path / "home"), str(world.file)]
    with started([*deploy, "v1", "blue-green", "3", f"{signal.SIGSTOP:d}"]) as first:
        wait_until(lambda: halted(first), "the first does not begin")
        with started([*deploy, "v2", "blue-green", "0"]) as second:
            wait_until(lambda: len(known(tmp_path)) == 2, "the second does not come")
            with started([*deploy, "v3", "blue-green", "0"]) as third:
                wait_until(lambda: len(known(tmp_path)) == 3, "the third does not come")
                assert world.versions() == set()
                os.kill(first.pid, signal.SIGCONT)
                assert [each.wait(60) for each in (first, second, third)] == [0, 0, 0]
    assert known(tmp_path) == [(1, None, "succeeded"), (2, 1, "succeeded"), (3, 2, "succeeded")]
    ends = [each[0] for each in times(tmp_path)]
    assert ends == sorted(ends)
    assert world.versions() == {"v3"}


def known(folder: Path) -> list[tuple[int, int | None, str]]:
    with Store.open(folder / "home") as store:
        return [(each.release, each.previous, each.state) for each in deployments(store.promises)]


def times(folder: Path) -> list[tuple[float, float]]:
    """When each deployment wrote its first and its last line."""
    with Store.open(folder / "home") as store:
        found = [journal(store.promises, each.id) for each in deployments(store.promises)]
        return [(lines[0].time, lines[-1].time) for lines in found]


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["shift", "stop"])
def test_one_that_is_halted_for_too_long_changes_nothing_any_more(
    tmp_path: Path, kind: str
) -> None:
    """It goes on right after it has written down what it is about to do: too late for that."""
    with open_shop(tmp_path, lease=2.0) as shop:
        shop.deploy("v1")
        line = intent(shop, kind)
        with (
            under_load(shop.plan(20)) as load,
            started(shipping(shop, "v2", lines=line, how=signal.SIGSTOP)) as late,
        ):
            wait_until(lambda: halted(late), "it does not get there", 60)
            ended = shop.deploy("v3")
            assert (ended.state, ended.previous) == ("succeeded", 3)
            token, before = held(shop), shop.containers("status=running")
            os.kill(late.pid, signal.SIGCONT)
            said = late.communicate(timeout=60)[1]
            assert late.returncode == 1
            assert "OutdatedError: another deployment of" in said
            assert f"and {token} has been here since" in said or "was cancelled" in said
            assert shop.containers("status=running") == before
        assert load.faults() == Counter()
        assert shop.holds_together() == "v3"


def held(shop: Shop) -> int:
    with shop.desk() as desk:
        found = live(desk.store.promises, shop.subject)
        assert found is not None
        return found.token


def intent(shop: Shop, kind: str) -> int:
    """The number of the line that says that it is about to do that, once there is an old version."""
    shop.deploy("v1.1")
    with shop.desk() as desk:
        last = deployments(desk.store.promises)[-1]
        lines = journal(desk.store.promises, last.id)
    return next(
        number
        for number, each in enumerate(lines, 1)
        if each.kind == "intent" and each.data["move"] == kind
    )
