"""Deployments of a page to this machine, also in a process that dies: `python -m tests.released`.

Arguments: a folder for all, a version, and how many lines of the journal it lives for.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pipe_checks
import pipe_machines
import pipe_proxies.haproxy

from runner.delivery.definition import definition
from runner.delivery.deliver import deliver
from runner.delivery.order import Desk, Order
from runner.plugin import (
    CheckCall,
    CheckResult,
    PluginCheck,
    PluginSwitch,
    PluginTarget,
    failed,
    passed,
)
from runner.store import Store
from runner.store.process import process_identity
from tests.deploying import die_at
from tests.remote import Around


@dataclass(frozen=True, slots=True)
class MachinePlugins:
    """The targets of machines, haproxy, the checks, and one more that looks for a page."""

    snapshots: Mapping[str, Any] = field(default_factory=dict)
    notifiers: Mapping[str, Any] = field(default_factory=dict)
    renderers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> Mapping[str, PluginTarget]:
        return {each.name: each for each in pipe_machines.targets()}

    @property
    def switches(self) -> Mapping[str, PluginSwitch]:
        return {each.name: each for each in pipe_proxies.haproxy.switches()}

    @property
    def checks(self) -> Mapping[str, PluginCheck]:
        page = PluginCheck("page", {"type": "object"}, look)
        return {each.name: each for each in (*pipe_checks.checks(), page)}


def look(call: CheckCall) -> CheckResult:
    """The page is that of the release's version, and says nothing bad."""
    text = Path(call.with_["file"]).read_text()
    wanted = f"this is {call.version}"
    return passed() if text == wanted and "bad" not in text else failed(f"it says {text}")


def surroundings(folder: Path) -> Around:
    return Around(folder / "control", folder / "work")


def desk(store: Store) -> Desk:
    return Desk(store, MachinePlugins(), process_identity())


def release(folder: Path, version: str) -> str:
    """The state in which a deployment of that version ends."""
    page = folder / "work" / "site" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"this is {version}")
    current = folder / "www" / "current" / "index.html"
    once = {"page": {"file": str(current), "within": "50ms", "interval": "10ms"}}
    data = {
        "target": "static",
        "with": {"path": "site", "to": str(folder / "www")},
        "version": version,
        "verify": {"ready": [once], "live": [once]},
    }
    return deployed(folder, data)


def deployed(folder: Path, data: Mapping[str, Any]) -> str:
    """The state in which the deployment ends that a step says so of."""
    with Store.open(folder / "home") as store:
        key = f"1/deploy/{data['version']}"
        order = Order(definition(data, "shop", "test"), key, owner="ann")
        return deliver(desk(store), order, surroundings(folder)).state


if __name__ == "__main__":
    where, what, lines = sys.argv[1:]
    die_at(int(lines))
    release(Path(where), what)
