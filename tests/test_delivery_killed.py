"""A process that deploys containers is killed at every line of its journal, while users go on."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from runner.delivery.call import Nowhere
from runner.delivery.recovery import recover_one
from runner.delivery.unfinished import unfinished
from runner.store.deliveries import deployments, journal
from tests.load import Load, under_load
from tests.proxied import docker, get
from tests.shops import Shop, open_shop, shipping

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[1]
CANARY = {"canary": {"steps": [{"weight": 30}]}}
#: Seconds from the death of a process until the right to change what is live is free again.
SOON = 60.0
#: Requests a second, while so much else happens.
RATE = 20.0


@dataclass
class Trial:
    """Deployments of one shop, one after the other, each by a process that is killed."""

    shop: Shop
    load: Load
    strategy: Any
    versions: Iterator[int]
    live: str = ""

    def lines(self, fault: str) -> int:
        """How many lines a deployment writes that nobody kills."""
        before = self._written()
        self.shop.deploy(self._next(), fault, strategy=self.strategy)
        self.live = self.shop.holds_together()
        return self._written() - before

    def kill(self, lines: int, fault: str, meanwhile: Callable[[], object] = int) -> None:
        """At that line; then there is a version that serves, and soon everything is in order, whatever
        else happens meanwhile."""
        version = self._next()
        ended = subprocess.run(
            shipping(self.shop, version, fault, lines, strategy=self.strategy),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, (ended.stdout, ended.stderr)
        meanwhile()
        began = time.monotonic()
        self.recover()
        assert time.monotonic() - began < SOON
        found = self.shop.holds_together()
        assert found in ((self.live,) if fault else (self.live, version)), (lines, found)
        self.live = found

    def recover(self) -> None:
        with self.shop.desk() as desk:
            for record in unfinished(desk.store):
                recover_one(desk, record, Nowhere(), {})
            assert unfinished(desk.store) == []

    def _next(self) -> str:
        return f"v{next(self.versions)}"

    def _written(self) -> int:
        with self.shop.desk() as desk:
            found = deployments(desk.store.promises)
            return sum(len(journal(desk.store.promises, each.id)) for each in found)


@contextmanager
def trial(folder: Path, strategy: Any, *known: str) -> Iterator[Trial]:
    """With users, none of whom notices anything of all that but the faults that are `known`; "any"
    are all."""
    with open_shop(folder, patience=3) as shop:
        shop.deploy("v1")
        with under_load(shop.plan(RATE)) as load:
            yield Trial(shop, load, strategy, count(2), "v1")
        assert len(load.answers) > RATE
        if "any" not in known:
            assert load.faults() - Counter(dict.fromkeys(known, sys.maxsize)) == Counter()
        assert get(f"127.0.0.1:{shop.port}") == shop.holds_together()


def test_killed_at_some_lines(tmp_path: Path) -> None:
    with trial(tmp_path, "blue-green") as going:
        lines = going.lines("")
        for line in (lines // 4, -lines // 2, lines * 3 // 4, -lines):
            going.kill(line, "")


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["", "never", "errors"])
@pytest.mark.parametrize("strategy", ["rolling", "blue-green", CANARY], ids=str)
def test_killed_at_every_line(tmp_path: Path, strategy: Any, fault: str) -> None:
    """Of a release that is good, one that is never ready, and one that turns out bad when it is live."""
    with trial(tmp_path, strategy, *(["status 500"] if fault == "errors" else [])) as going:
        for line in range(1, going.lines(fault) + 1):
            going.kill(line, fault)
            going.kill(-line, fault)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_the_proxy_starts_again_meanwhile(tmp_path: Path) -> None:
    """It has forgotten all that it was told, but not what it was told to keep."""
    with trial(tmp_path, CANARY, "any") as going:
        proxy = f"{going.shop.name}-test-proxy"
        for line in range(1, going.lines("") + 1, 2):
            going.kill(line, "", lambda: docker("restart", "-t", "0", proxy))


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["", "errors"])
def test_after_a_stop_one_version_starts_again(tmp_path: Path, fault: str) -> None:
    """The strategy `recreate` stops the old one first: nobody serves then, until it is recovered."""
    with trial(tmp_path, "recreate", "any") as going:
        for line in range(1, going.lines(fault) + 1):
            going.kill(line, fault)
