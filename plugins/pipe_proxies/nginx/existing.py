"""An nginx that others run: Pipe writes one file of its configuration, with an upstream in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipe_proxies.addresses import address_of, shares_of
from pipe_proxies.nginx.configuration import Place, render_existing
from pipe_proxies.nginx.homes import InContainer
from pipe_proxies.nginx.reloading import Server, attempt, new_generation
from runner.plugin import DeliveryCall, Finding, Instance, fenced


@dataclass(frozen=True, slots=True)
class ExistingProxy:
    """The switch for `proxy_pass http://UPSTREAM` in configurations of the user's own."""

    file: str
    upstream: str
    machine: str
    container: str
    test: str
    reload: str
    status: str

    @property
    def address(self) -> str:
        """Where it listens is in configurations of others."""
        return ""

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        server = self._server(call)
        done = server.home.run(["sh", "-c", self.test])
        if not done.exit_code:
            return []
        # Before the first deployment nothing says yet what the upstream is.
        is_first = server.home.read_file(self.file) is None
        text = done.stderr[-2000:].decode(errors="replace").strip()
        message = f"nginx on {server.home.name} refuses its configuration as it is: {text}"
        return [Finding(message, "warning" if is_first else "error")]

    def observe(self, call: DeliveryCall) -> Mapping[str, int]:
        server = self._server(call)
        if server.home.read_file(self.file) is None:
            return {}
        return server.said().weights

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        given = shares_of(instances, weights)
        places = [_place(each, given[each.name]) for each in instances]
        with fenced(call, call.folder / "nginx"):
            server, new = self._server(call), new_generation()
            said = attempt(server.said)
            if said is None or not server.goes_by(self._text(places, said.generation)):
                server.change(call, self._text(places, new), new)
        return self.observe(call)

    def traffic(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        """It does not count."""

    def _text(self, places: Sequence[Place], generation: str) -> str:
        return render_existing(self.upstream, self.status, places, generation)

    def _server(self, call: DeliveryCall) -> Server:
        home = InContainer(self.container) if self.container else call.machine(self.machine)
        return Server(home, self.file, self.test, self.reload, self.status)


def _place(instance: Instance, share: int) -> Place:
    # Who gets nothing does not have to run.
    host, port = address_of(instance) if share else ("", 0)
    return Place(instance.name, host, port, share)
