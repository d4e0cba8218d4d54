"""A haproxy that others run and configure: Pipe moves the servers of one of its backends."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipe_proxies.addresses import address_of, shares_of
from pipe_proxies.files import replace_file
from pipe_proxies.haproxy.counting import traffic_of
from pipe_proxies.haproxy.runtime import Runtime, Server
from pipe_proxies.haproxy.shifting import shift, unscaled
from runner.plugin import DeliveryCall, DeliveryError, Finding, Instance, Traffic, fenced


@dataclass(frozen=True, slots=True)
class ExistingProxy:
    """The switch for servers that are named as the instances; those that are missing are added."""

    place: str
    backend: str
    state_file: str

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.place, self.backend)

    @property
    def address(self) -> str:
        """Where it listens is in configurations of others."""
        return ""

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        self.runtime.servers()
        # Asks for the level that all changes need, and changes nothing.
        refusal = self.runtime.refusal(f"set server {self.backend}/ state ready")
        if "denied" in refusal.lower():
            return [Finding(f"haproxy at {self.place}: its socket needs `level admin`")]
        return []

    def observe(self, call: DeliveryCall) -> Mapping[str, int]:
        servers = self.runtime.servers().values()
        return {each.name: unscaled(each.share) for each in servers if not each.is_spare}

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        given = shares_of(instances, weights)
        with fenced(call, call.folder / "haproxy"):
            self._place(instances)
            shift(call, self.runtime, given, {})
            if self.state_file:
                state = self.runtime.ask(f"show servers state {self.backend}")
                replace_file(Path(self.state_file), state + "\n")
        return self.observe(call)

    def traffic(
        self, call: DeliveryCall, instances: Sequence[Instance]
    ) -> Mapping[str, Traffic] | None:
        servers = self.runtime.servers()
        found = [servers[each.name] for each in instances if each.name in servers]
        return {server.name: traffic_of(server) for server in found}

    def _place(self, instances: Sequence[Instance]) -> None:
        """Every instance that has an address has a server with it."""
        servers = self.runtime.servers()
        located = [each for each in instances if each.address]
        self.runtime.change([line for each in located for line in self._at(each, servers)])

    def _at(self, instance: Instance, servers: Mapping[str, Server]) -> list[str]:
        host, port = _resolved(instance)
        server = f"{self.backend}/{instance.name}"
        if instance.name not in servers:
            at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            return [f"add server {server} {at} check inter 1s", f"enable health {server}"]
        if servers[instance.name].address in (f"{host}:{port}", f"[{host}]:{port}"):
            return []
        return [f"set server {server} addr {host} port {port}"]


def _resolved(instance: Instance) -> tuple[str, int]:
    """haproxy takes an address and no name at runtime."""
    host, port = address_of(instance)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DeliveryError(f"{instance.name}: {host} has no address ({error})") from error
    return str(found[0][4][0]), port
