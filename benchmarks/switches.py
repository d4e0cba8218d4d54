"""Releases that take each other's place while users go on: what became of every request."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Pair, percentile
from benchmarks.sandbox import FailedError

if TYPE_CHECKING:
    from tests.load import Answer, Load
    from tests.shops import Shop

#: Seconds before each deployment in which users are alone.
QUIET = 2.0
#: What can become of a request, in the words of `kind_of`.
KINDS = ("refused", "reset, reused", "reset, fresh", "5xx", "timeout", "wrong version")


@dataclass(frozen=True, slots=True)
class Switch:
    """One deployment; times are of `time.monotonic()`. From `switched` on only `version` may answer."""

    version: str
    began: float
    switched: float
    ended: float


@dataclass(frozen=True, slots=True)
class Switches:
    """All deployments, and all that was answered meanwhile."""

    done: Sequence[Switch]
    answers: "Sequence[Answer]"

    def failed(self) -> Counter[str]:
        """How many requests went wrong, by kind."""
        found = Counter(kind_of(each) for each in self.answers if each.fault)
        return found + Counter({"wrong version": sum(1 for _ in self._wrong())})

    def p99(self) -> tuple[Pair, ...]:
        """Of each deployment the p99 in milliseconds, and that of the time before it."""
        return tuple(
            Pair(self._p99(each.began, each.ended), self._p99(each.began - QUIET, each.began))
            for each in self.done
        )

    def _p99(self, start: float, end: float) -> float:
        quick = [each for each in self.answers if each.kind != "slow"]
        times = [each.took for each in quick if start <= each.sent < end]
        return 1000 * percentile(times, 99)

    def _wrong(self) -> "Iterator[Answer]":
        for switch, following in zip(self.done, [*self.done[1:], None], strict=True):
            end = following.began if following else float("inf")
            for each in self.answers:
                is_after = switch.switched < each.sent < end and not each.fault
                if is_after and each.body != switch.version:
                    yield each


def kind_of(answer: "Answer") -> str:
    """What went wrong with a request."""
    if answer.fault == "reset":
        return "reset, reused" if answer.kind == "reused" else "reset, fresh"
    return "5xx" if answer.fault.startswith("status 5") else answer.fault


def switches(
    shop: "Shop", times: int, rate: float, requests: int = 0, quiet: float = QUIET
) -> Switches:
    """Deploy so many versions, each by a process of its own, and in all that time at least so many
    requests."""
    from tests.load import under_load

    shop.deploy("v0")
    done = []
    with under_load(shop.plan(rate)) as load:
        for number in range(1, times + 1):
            _go_on(load, quiet, round(requests * number / times))
            done.append(_switch(shop, f"v{number}"))
        _go_on(load, quiet, 0)
    return Switches(done, load.answers)


def _go_on(load: "Load", seconds: float, answers: int) -> None:
    """Until so many answers are there, and for so many seconds at least."""
    began = time.monotonic()
    while time.monotonic() - began < seconds or len(load.answers) < answers:
        time.sleep(0.05)


def _switch(shop: "Shop", version: str) -> Switch:
    began = time.monotonic()
    found = deployed(shop, version)
    ended = time.monotonic()
    if found["state"] != "succeeded":
        raise FailedError(f"{version}: {found['message']}")
    return Switch(version, began, monotonic(found["weights"][-1]["time"]), ended)


def deployed(shop: "Shop", version: str, fault: str = "", **changes: Any) -> Mapping[str, Any]:
    """The report of a deployment by another process."""
    from runner.cli.report import read_report
    from runner.store.deliveries import deployments
    from tests.shops import shipping

    subprocess.run(shipping(shop, version, fault, **changes), check=True)
    with shop.desk() as desk:
        known = deployments(desk.store.promises)
        return read_report(desk.store, [each.id for each in known if each.kind == "deploy"][-1])


def monotonic(epoch: float) -> float:
    """That time as `time.monotonic` has it."""
    return epoch - time.time() + time.monotonic()
