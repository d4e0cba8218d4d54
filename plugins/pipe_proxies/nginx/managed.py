"""An nginx that Pipe runs itself: one lasting container for each application and environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipe_proxies import container
from pipe_proxies.addresses import inside_of, shares_of, url_of
from pipe_proxies.nginx.configuration import INSIDE, PORT, Place, Shape, render_managed
from pipe_proxies.nginx.homes import Mounted
from pipe_proxies.nginx.reloading import Server, attempt, new_generation
from runner.plugin import DeliveryCall, Finding, Instance, fenced

_FILE = f"{INSIDE}/nginx.conf"


@dataclass(frozen=True, slots=True)
class ManagedProxy:
    """The switch that divides by the name of an instance, and reloads."""

    published: tuple[str, int]
    image: str
    network: str
    name: str
    shape: Shape

    @property
    def address(self) -> str:
        return url_of(self.published)

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        return container.findings(self._container(call))

    def observe(self, call: DeliveryCall) -> Mapping[str, int]:
        return self._server(call).said().weights if self._stands(call) else {}

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        given = shares_of(instances, weights)
        places = [Place(i.name, *inside_of(i, "`config`"), given[i.name]) for i in instances]
        with fenced(call, self._folder(call)):
            self._go_by(call, places)
        return self.observe(call)

    def traffic(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        """It does not count."""

    def _go_by(self, call: DeliveryCall, places: Sequence[Place]) -> None:
        server, new = self._server(call), new_generation()
        said = attempt(server.said) if self._stands(call) else None
        if said is None:
            server.home.write_file(_FILE, render_managed(self.shape, places, new).encode())
            with container.engine() as api:
                container.ensure(api, call, self._container(call))
            server.await_generation(call, new)
        elif not server.goes_by(render_managed(self.shape, places, said.generation)):
            server.change(call, render_managed(self.shape, places, new), new)

    def _stands(self, call: DeliveryCall) -> bool:
        wanted = self._container(call)
        with container.engine() as api:
            there = container.found(api, wanted.name)
        is_so = there is not None and container.is_as_wanted(there, wanted)
        return is_so and container.is_running(there)

    def _server(self, call: DeliveryCall) -> Server:
        home = Mounted(self._container(call).name, self._folder(call))
        nginx = f"nginx -c {_FILE}"
        return Server(home, _FILE, test=f"{nginx} -t", reload=f"{nginx} -s reload")

    def _folder(self, call: DeliveryCall) -> Path:
        return call.folder / "nginx"

    def _container(self, call: DeliveryCall) -> container.Lasting:
        return container.Lasting(
            name=self.name or container.word(call, "proxy"),
            image=self.image,
            network=self.network or f"pipe-{container.word(call)}",
            command=("nginx", "-c", _FILE, "-g", "daemon off;"),
            folder=str(self._folder(call)),
            mounted=INSIDE,
            port=PORT,
            published=self.published,
            open_files=2 * self.shape.connections + 500,
            labels=container.labels_of(call),
        )
