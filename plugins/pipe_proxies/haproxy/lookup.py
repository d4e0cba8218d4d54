"""The names behind which a managed haproxy looks for its servers' addresses, always anew."""

import time
from collections.abc import Sequence

from pipe_proxies.haproxy.runtime import Runtime
from pipe_proxies.haproxy.seats import Seat
from runner.plugin import DeliveryCall, DeliveryError

#: Seconds that the engine's DNS has to know a name.
PATIENCE = 10.0
_PAUSE = 0.02
#: The address of a server whose name is still being looked up; nothing listens there.
_NOWHERE = "127.0.0.1"


def look_up(call: DeliveryCall, runtime: Runtime, seats: Sequence[Seat]) -> None:
    """Returns when haproxy has found an address for each, which is never an older one."""
    if not seats:
        return
    runtime.change([line for seat in seats for line in _forget(runtime, seat)])
    runtime.change(
        [f"set server {runtime.backend}/{seat.server} fqdn {seat.host}" for seat in seats]
    )
    _await_addresses(call, runtime, seats)
    found = runtime.servers()
    # The port cannot be set while there is no address.
    runtime.change([_at(runtime, seat, found[seat.server].host) for seat in seats])


def park(runtime: Runtime, seats: Sequence[Seat], name: str) -> None:
    """Who rests is not looked for: the engine would ask others for names that it does not know."""
    names = runtime.names()
    resting = [seat for seat in seats if names[seat.server] != name]
    runtime.change([f"set server {runtime.backend}/{seat.server} fqdn {name}" for seat in resting])


def _forget(runtime: Runtime, seat: Seat) -> list[str]:
    known = runtime.servers()[seat.server].address
    return [_at(runtime, seat, _NOWHERE)] if known else []


def _at(runtime: Runtime, seat: Seat, address: str) -> str:
    return f"set server {runtime.backend}/{seat.server} addr {address} port {seat.port}"


def _await_addresses(call: DeliveryCall, runtime: Runtime, seats: Sequence[Seat]) -> None:
    until = time.monotonic() + min(PATIENCE, call.remaining())
    while unknown := _without_address(runtime, seats):
        if time.monotonic() > until or call.cancelled():
            names = ", ".join(f"{seat.name} (`{seat.host}`)" for seat in unknown)
            raise DeliveryError(
                f"haproxy finds no address of {names}: is it running, and on the proxy's network?"
            )
        time.sleep(_PAUSE)


def _without_address(runtime: Runtime, seats: Sequence[Seat]) -> list[Seat]:
    servers = runtime.servers()
    return [seat for seat in seats if servers[seat.server].host in ("", _NOWHERE)]
