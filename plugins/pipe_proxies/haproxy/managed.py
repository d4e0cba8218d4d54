"""A haproxy that Pipe runs itself: one lasting container for each application and environment."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipe_proxies import container
from pipe_proxies.addresses import shares_of, url_of
from pipe_proxies.files import replace_file
from pipe_proxies.haproxy import seats as places
from pipe_proxies.haproxy.configuration import BACKEND, INSIDE, PORT, Shape, render
from pipe_proxies.haproxy.counting import traffic_of
from pipe_proxies.haproxy.lookup import look_up, park
from pipe_proxies.haproxy.runtime import Runtime
from pipe_proxies.haproxy.seats import Seat
from pipe_proxies.haproxy.shifting import shift, unscaled
from runner.plugin import DeliveryCall, DeliveryError, Finding, Instance, Traffic, fenced

#: Seconds that the proxy has to answer after its start.
PATIENCE = 10.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user has set; "" is what follows from the application and environment."""

    published: tuple[str, int]
    image: str
    network: str
    name: str
    places: int
    is_sticky: bool
    connections: int
    timeout: float


@dataclass(frozen=True, slots=True)
class ManagedProxy:
    """The switch that moves traffic by the runtime socket, and never reloads."""

    settings: Settings

    @property
    def address(self) -> str:
        return url_of(self.settings.published)

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        places.read(self._seats(call), self.settings.places)
        return container.findings(self._container(call))

    def observe(self, call: DeliveryCall) -> Mapping[str, int]:
        is_running = self._is_running(call)
        taken = [seat for seat in self._known(call, is_running) if seat.name]
        return {seat.name: seat.share if is_running else 0 for seat in taken}

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        given = shares_of(instances, weights)
        with fenced(call, self._folder(call)):
            before = self._known(call, self._is_running(call))
            during = places.seated(before, instances)
            self._remember(call, during)
            self._start(call)
            self._move(call, during, given)
            after = places.settled(during, given)
            self._remember(call, after)
            resting = [seat for seat in after if not seat.share]
            park(self._runtime(call), resting, self._shape(call).container)
        return self.observe(call)

    def traffic(
        self, call: DeliveryCall, instances: Sequence[Instance]
    ) -> Mapping[str, Traffic] | None:
        asked = {instance.name for instance in instances}
        seats = places.read(self._seats(call), self.settings.places)
        servers = self._runtime(call).servers()
        return {seat.name: traffic_of(servers[seat.server]) for seat in seats if seat.name in asked}

    def _known(self, call: DeliveryCall, is_running: bool) -> Sequence[Seat]:
        """Who has which seat, with the share that haproxy gives it; else with its last one."""
        seats = places.read(self._seats(call), self.settings.places)
        if not is_running:
            return seats
        servers = self._runtime(call).servers()
        return [
            replace(seat, share=unscaled(servers[seat.server].share))
            if seat.name and seat.server in servers
            else seat
            for seat in seats
        ]

    def _start(self, call: DeliveryCall) -> None:
        with container.engine() as api:
            container.ensure(api, call, self._container(call))
        until = time.monotonic() + min(PATIENCE, call.remaining())
        while True:
            try:
                self._runtime(call).servers()
                return
            except DeliveryError:
                if time.monotonic() > until or call.cancelled():
                    raise
            time.sleep(_PAUSE)

    def _move(self, call: DeliveryCall, seats: Sequence[Seat], given: Mapping[str, int]) -> None:
        runtime = self._runtime(call)
        serving = [seat for seat in seats if given.get(seat.name)]
        servers, hosts = runtime.servers(), runtime.names()
        new = [s for s in serving if not servers[s.server].share or hosts[s.server] != s.host]
        look_up(call, runtime, new)
        names = {seat.server: seat.name for seat in seats if seat.name}
        shift(call, runtime, {seat.server: given[seat.name] for seat in serving}, names)

    def _remember(self, call: DeliveryCall, seats: Sequence[Seat]) -> None:
        places.write(self._seats(call), seats)
        file = self._folder(call) / "haproxy.cfg"
        replace_file(file, render(self._shape(call), seats))

    def _is_running(self, call: DeliveryCall) -> bool:
        with container.engine() as api:
            return container.is_running(container.found(api, self._container(call).name))

    def _folder(self, call: DeliveryCall) -> Path:
        return call.folder / "haproxy"

    def _seats(self, call: DeliveryCall) -> Path:
        return self._folder(call) / "seats.json"

    def _runtime(self, call: DeliveryCall) -> Runtime:
        return Runtime(str(self._folder(call) / "admin.sock"), BACKEND)

    def _shape(self, call: DeliveryCall) -> Shape:
        name = self.settings.name or container.word(call, "proxy")
        connections, timeout = self.settings.connections, self.settings.timeout
        return Shape(name, connections, timeout, self.settings.is_sticky)

    def _container(self, call: DeliveryCall) -> container.Lasting:
        shape = self._shape(call)
        return container.Lasting(
            name=shape.container,
            image=self.settings.image,
            network=self.settings.network or f"pipe-{container.word(call)}",
            command=("haproxy", "-db", "-f", f"{INSIDE}/haproxy.cfg"),
            folder=str(self._folder(call)),
            mounted=INSIDE,
            port=PORT,
            published=self.settings.published,
            open_files=2 * shape.connections + 500,
            labels=container.labels_of(call),
            settings=render(shape, [Seat(number + 1) for number in range(self.settings.places)]),
        )
