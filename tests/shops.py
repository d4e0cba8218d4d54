"""A shop in containers, behind a proxy that Pipe runs, and deployments of it by the real plugins."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from runner.delivery.call import Nowhere
from runner.delivery.definition import Definition, definition
from runner.delivery.deliver import deliver
from runner.delivery.order import Desk, Ending, Order
from runner.plugins import load_plugins
from runner.store import Store
from runner.store.deliveries import LEASE, Subject, deployments, live, releases
from runner.store.process import process_identity
from tests.load import Kind, Plan
from tests.proxied import docker, free_port

SERVER = Path(__file__).with_name("shop_server.py")
IMAGE = "pipe-test/debian:12"
PROXIES = {"haproxy": "pipe-test/haproxy:2", "nginx": "pipe-test/nginx:1"}
PORT = 8000
#: All that users do: keep-alive, new connections, and requests that outlast a switch.
KINDS: Sequence[Kind] = ("reused", "reused", "fresh", "reused", "reused", "fresh", "slow")


@dataclass(frozen=True, slots=True)
class Shop:
    """One that nothing else has the name and port of; its releases are known in `home`."""

    home: str
    name: str
    port: int
    proxy: Literal["haproxy", "nginx"] = "haproxy"
    #: Seconds that a version has to become ready.
    patience: int = 10
    #: Seconds after which who says nothing has lost the right to change what is live.
    lease: float = LEASE

    def definition(self, version: str, fault: str = "", **changes: Any) -> Definition:
        """A deployment of it; `changes` are keys of the step."""
        command = ["python3", "/shop.py", str(PORT), version, *filter(None, [fault])]
        target = {
            "image": IMAGE,
            "pull": "never",
            "port": PORT,
            "command": command,
            "volumes": [f"{SERVER}:/shop.py:ro"],
        }
        listen = {"listen": f"127.0.0.1:{self.port}", "image": PROXIES[self.proxy]}
        ready = {"path": "/ready", "within": f"{self.patience}s", "interval": "50ms"}
        shown = {"path": "/", "matches": f"^{version}$", "interval": "50ms", "max-time": "500ms"}
        data = {
            "target": "docker",
            "with": target,
            "version": version,
            "switch": {"use": self.proxy, "with": listen},
            "strategy": "blue-green",
            "verify": {"ready": [{"http": ready}], "live": [{"http": shown}]},
            "drain": "5s",
            **changes,
        }
        return definition(data, self.name, "test")

    @property
    def subject(self) -> Subject:
        return Subject(self.name, "test")

    def order(self, version: str, fault: str = "", **changes: Any) -> Order:
        known = self.definition(version, fault, **changes)
        return Order(known, f"{self.name}/{version}", owner="ann")

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with Store.open(Path(self.home)) as store:
            yield Desk(store, load_plugins(None), process_identity(), self.lease)

    def deploy(self, version: str, fault: str = "", **changes: Any) -> Ending:
        with self.desk() as desk:
            return deliver(desk, self.order(version, fault, **changes), Nowhere())

    def plan(self, rate: float, kinds: Sequence[Kind] = KINDS) -> Plan:
        return Plan("127.0.0.1", self.port, rate, kinds)

    # -- what is there

    @property
    def label(self) -> str:
        return f"label=pipe.delivery={self.name}/test"

    def containers(self, *filters: str) -> list[Mapping[str, Any]]:
        """All of the shop that there are, but not its proxy, as the engine describes them."""
        listed = docker("ps", "-aq", *_given("--filter", self.label, *filters)).split()
        found = json.loads(docker("inspect", *listed)) if listed else []
        return [each for each in found if "pipe.release" in each["Config"]["Labels"]]

    def weights(self) -> dict[str, int]:
        """Who gets requests, as the proxy says."""
        with self.desk() as desk:
            known = self.definition("")
            folder = desk.folder(known)
            switch = desk.plugins.switches[self.proxy].open(known.switch.with_)  # type: ignore[union-attr]
            return {name: each for name, each in switch.observe(self._call(folder)).items() if each}

    def _call(self, folder: Path) -> Any:
        from runner.testing import delivery_call

        return delivery_call(folder, application=self.name)

    def holds_together(self) -> str:
        """The version that is live, if what is recorded is what runs and serves, and all is."""
        with self.desk() as desk:
            connection = desk.store.promises
            assert all(each.finished_at for each in deployments(connection))
            found = live(connection, self.subject)
            assert found is not None
            assert not found.is_held(desk.now()), "somebody still holds it"
            known = {each.number: each for each in releases(connection, self.subject)}
        containers = self.containers()
        labels = [each["Config"]["Labels"] for each in containers if each["State"]["Running"]]
        assert {int(each["pipe.release"]) for each in labels} == {found.release}, labels
        assert set(self.weights()) == {each["pipe.place"] for each in labels}
        orphans = [
            each["Name"]
            for each in containers
            if known[int(each["Config"]["Labels"]["pipe.release"])].state != "good"
        ]
        assert orphans == [], "containers of releases that are not good are left"
        assert found.release is not None
        return known[found.release].version

    def remove(self) -> None:
        """All that it has in the engine, by its label and name."""
        for listed, gone in (
            (["ps", "-aq", "--filter", self.label], ["rm", "-f", "-v"]),
            (["network", "ls", "-q", "--filter", self.label], ["network", "rm"]),
            (["images", "--format", "{{.Repository}}:{{.Tag}}", f"pipe/{self.name}-test"], ["rmi"]),
        ):
            if found := docker(*listed).split():
                docker(*gone, *found)


def _given(option: str, *values: str) -> list[str]:
    return [word for value in values for word in (option, value)]


@contextmanager
def open_shop(folder: Path, **settings: Any) -> Iterator[Shop]:
    """A shop that is gone afterwards."""
    shop = Shop(str(folder / "home"), f"shop{uuid4().hex[:8]}", free_port(), **settings)
    try:
        yield shop
    finally:
        shop.remove()


def shipping(
    shop: Shop,
    version: str,
    fault: str = "",
    lines: int = 0,
    how: int = signal.SIGKILL,
    **changes: Any,
) -> list[str]:
    """The command of a process that deploys; see `shipping`."""
    given = [json.dumps(asdict(shop)), version, fault, json.dumps(changes), str(lines), f"{how:d}"]
    return [sys.executable, "-m", "tests.shipping", *given]


def read(text: str) -> Shop:
    """The inverse of `written`."""
    return Shop(**json.loads(text))
