"""A world to deploy to that is a file: instances, a proxy, and the plugins that change them.

It outlives the process that deploys, so that tests can kill that one at any point.
"""

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.delivery.definition import Definition, definition
from runner.delivery.order import Desk, Order
from runner.plugin import (
    CheckCall,
    CheckResult,
    DeliveryCall,
    DeliveryError,
    Finding,
    Instance,
    Observed,
    PluginCheck,
    PluginSwitch,
    PluginTarget,
    Release,
    Traffic,
    Weights,
    failed,
    passed,
)
from runner.store import Store
from runner.store.process import process_identity

ANY: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class World:
    """What there is, in `file`."""

    file: Path

    @contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        """The state, which is written back."""
        with self.file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            yield state
            fresh = self.file.with_suffix(".new")
            fresh.write_text(json.dumps(state))
            fresh.replace(self.file)

    def read(self) -> dict[str, Any]:
        if not self.file.exists():
            return {"instances": {}, "weights": {}, "active": {}, "prepared": [], "calls": []}
        state: dict[str, Any] = json.loads(self.file.read_text())
        return state

    def versions(self) -> set[str]:
        """Which versions answer requests now."""
        state = self.read()
        return {
            state["instances"][name]["version"]
            for name, weight in state["weights"].items()
            if weight and state["instances"].get(name, {}).get("is_running")
        }

    def running(self) -> set[str]:
        """The instances that run."""
        return {name for name, each in self.read()["instances"].items() if each["is_running"]}


def breaks(how: Collection[str]) -> None:
    """What a bad plugin does in the middle of a call."""
    if "start" in how:
        raise DeliveryError("it does not start")
    if "raise" in how:
        raise ZeroDivisionError
    if "crash" in how:
        raise SystemExit(1)
    if "hang" in how:
        time.sleep(60)
    if "exit" in how:
        os._exit(7)


@dataclass(frozen=True, slots=True)
class WorldTarget:
    """Blue and green places in the world."""

    world: World
    settings: Mapping[str, Any]

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        return [Finding(text) for text in self.settings.get("refuse", ())]

    def observe(self, call: DeliveryCall) -> Observed:
        rows = self.world.read()["instances"].values()
        return Observed(tuple(Instance(**row) for row in rows))

    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        count = int(self.settings.get("replicas", 1))
        return [Instance(f"{slot}-{number + 1}", slot) for number in range(count)]

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        with self.world.changed() as state:
            state["prepared"] = sorted({*state["prepared"], release.id})

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        breaks(release.settings.get("break", ()))
        if "ghost" in release.settings.get("break", ()):
            return places
        if "nonsense" in release.settings.get("break", ()):
            return [42]  # type: ignore[list-item]
        started = [
            replace(place, release=release.id, version=release.version, is_running=True)
            for place in places
        ]
        with self.world.changed() as state:
            assert release.id in state["prepared"]
            state["instances"] |= {each.name: asdict(each) for each in started}
            state["calls"].append(["start", release.version, [each.name for each in started]])
        return started

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        with self.world.changed() as state:
            for each in instances:
                if each.name in state["instances"]:
                    state["instances"][each.name]["is_running"] = False

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        with self.world.changed() as state:
            for each in instances:
                state["instances"].pop(each.name, None)

    def available(self, call: DeliveryCall, release: Release) -> bool:
        return release.id in self.world.read()["prepared"]

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        with self.world.changed() as state:
            gone = [number for number in state["prepared"] if number not in keep]
            state["prepared"] = [number for number in state["prepared"] if number in keep]
        return [f"release {number}" for number in gone]


@dataclass(frozen=True, slots=True)
class WorldSwitch:
    """The proxy of the world."""

    world: World
    settings: Mapping[str, Any]

    @property
    def address(self) -> str:
        return "http://shop.test"

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        return []

    def observe(self, call: DeliveryCall) -> Weights:
        weights: dict[str, int] = self.world.read()["weights"]
        return weights

    def apply(self, call: DeliveryCall, instances: Sequence[Instance], weights: Weights) -> Weights:
        if any(weights.get(name) for name in self.settings.get("at", ("green-1",))):
            breaks(self.settings.get("break", ()))
        with self.world.changed() as state:
            if call.token < state.get("token", 0):
                raise DeliveryError(f"token {call.token} is older than {state['token']}")
            state["token"] = call.token
            state["weights"] = dict(weights)
            state["calls"].append(["apply", dict(weights)])
            serving = [
                name
                for name, weight in weights.items()
                if weight and state["instances"].get(name, {}).get("is_running")
            ]
            state.setdefault("gaps", []).extend([] if serving else [dict(weights)])
        return {"green-1": 100} if self.settings.get("lie") else weights

    def traffic(
        self, call: DeliveryCall, instances: Sequence[Instance]
    ) -> Mapping[str, Traffic] | None:
        if "nonsense" in self.settings.get("break", ()):
            return {each.name: 42 for each in instances}  # type: ignore[misc]
        return {each.name: Traffic() for each in instances}


def check_version(call: CheckCall) -> CheckResult:
    """Passes unless the version that is asked about is among the `bad` ones."""
    if call.version in call.with_.get("bad", ()):
        return failed(f"{call.version} is bad")
    return passed(f"{call.version} answers")


@dataclass(frozen=True, slots=True)
class WorldPlugins:
    """What plugins bring to deployments in the world."""

    world: World
    notifiers: Mapping[str, Any] = field(default_factory=dict)
    renderers: Mapping[str, Any] = field(default_factory=dict)
    snapshots: Mapping[str, Any] = field(default_factory=dict)
    extra_checks: Mapping[str, PluginCheck] = field(default_factory=dict)

    @property
    def targets(self) -> Mapping[str, PluginTarget]:
        def make(settings: Mapping[str, Any]) -> WorldTarget:
            return WorldTarget(self.world, settings)

        return {"world": PluginTarget("world", ANY, make, ("blue", "green"))}

    @property
    def switches(self) -> Mapping[str, PluginSwitch]:
        return {"proxy": PluginSwitch("proxy", ANY, lambda with_: WorldSwitch(self.world, with_))}

    @property
    def checks(self) -> Mapping[str, PluginCheck]:
        names = ("version", "uptime", "breaks")
        return {name: PluginCheck(name, ANY, check_version) for name in names} | dict(
            self.extra_checks
        )


def shop(version: str, **changes: Any) -> Definition:
    """A deployment of the shop; `changes` are keys of the step."""
    data = {
        "target": "world",
        "version": version,
        "switch": "proxy",
        "verify": [{"version": {"within": "1s", "interval": "10ms"}}],
        "drain": "1s",
        **changes,
    }
    return definition(data, "shop", "test")


def order(version: str, key: str = "", **changes: Any) -> Order:
    """That deployment, as a step wants it."""
    return Order(shop(version, **changes), key or f"1/deploy/{version}", owner="ann")


def desk(store: Store, world: World, **plugins: Any) -> Desk:
    return Desk(store, WorldPlugins(world, **plugins), process_identity())
