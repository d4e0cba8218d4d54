"""Deployments under steady load: requests that fail, and how soon a bad release is gone again."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.effort import Effort
from benchmarks.faulty import trouble
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.sandbox import Sandbox
from benchmarks.switches import KINDS, Switches, deployed, monotonic, switches

if TYPE_CHECKING:
    from tests.shops import Shop

SWITCHES, REQUESTS = 50, 100_000
#: Requests a second.
RATE = 250.0
RUNS = 3
NONE = Bound(0, of="ours")
#: What a reload of nginx may do to connections that are used again, is stated and not bounded.
STATED = ("reset, reused",)
P99_BOUND = Bound(3.0)
RUNNING, STOPPED = Bound(1.0, of="ours"), Bound(15.0, of="ours")
#: Seconds that a release has to become ready.
PATIENCE = 3
NEVER_READY = Bound(PATIENCE + 1.0, of="ours")
FAULTS = ("errors", "slow", "crash")


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """Each version by a process of its own, blue-green, for users of all kinds: on connections that
    are used again, on new ones, and with requests of two seconds."""
    from tests.shops import open_shop

    times = effort.sized(SWITCHES)
    for proxy in ("haproxy", "nginx"):
        with open_shop(sandbox.folder / proxy, proxy=proxy) as shop:
            found = switches(shop, times, RATE, effort.sized(REQUESTS))
            yield from _failed(proxy, found)
    with open_shop(sandbox.folder / "bad", patience=PATIENCE) as shop:
        shop.deploy("good")
        for fault in ("never", *FAULTS):
            yield from _trouble(shop, fault, effort.pairs(RUNS))
        yield from _undone(shop, effort.pairs(RUNS))


def _failed(proxy: str, found: Switches) -> Iterator[Figure]:
    failed = found.failed()
    against = f"of {len(found.answers)} in {len(found.done)} switches"
    for kind in KINDS:
        bound = None if proxy == "nginx" and kind in STATED else NONE
        pair = (Pair(failed[kind]),)
        yield Figure(f"deploy {proxy}, {kind}", "requests", pair, against, bound)
    yield Figure(f"deploy {proxy}, p99 of a switch", "ms", found.p99(), "just before", P99_BOUND)


def _trouble(shop: "Shop", fault: str, runs: int) -> Iterator[Figure]:
    found = [trouble(shop, f"{fault}{run}", fault) for run in range(runs)]
    name = "never ready" if fault == "never" else fault
    detected = tuple(Pair(each.detected) for each in found)
    bound = NEVER_READY if fault == "never" else None
    yield Figure(f"deploy, {name}: until noticed", "s", detected, "", bound)
    bad = tuple(Pair(len(each.bad)) for each in found)
    yield Figure(f"deploy, {name}: bad answers", "requests", bad, "", NONE if bound else None)
    if fault != "never":
        restored = tuple(Pair(each.restored) for each in found)
        yield Figure(f"deploy, {name}: until restored", "s", restored, "", RUNNING)


def _undone(shop: "Shop", runs: int) -> Iterator[Figure]:
    """Of a release that has succeeded, with the one before kept running, and stopped."""
    for name, keep, bound in (("runs", "30m", RUNNING), ("was stopped", "0s", STOPPED)):
        kept = {"previous-running": keep}
        times = tuple(Pair(_undo(shop, f"{name[0]}{run}", keep=kept)) for run in range(runs))
        yield Figure(f"deploy, undone: old one {name}", "s", times, "", bound)


def _undo(shop: "Shop", version: str, **changes: Any) -> float:
    """Seconds from when that is wanted until the proxy has given all traffic back."""
    from runner.cli.report import read_report
    from runner.delivery.call import Nowhere
    from runner.delivery.undoing import undo

    number = deployed(shop, version, **changes)["deployment"]
    with shop.desk() as desk:
        began = time.monotonic()
        undo(desk, number, "the job failed", Nowhere(), {})
        back = read_report(desk.store, number)["rollback"]
    return monotonic(back["weights"][-1]["time"]) - began
