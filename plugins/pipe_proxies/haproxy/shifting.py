"""The order in which servers of one backend change their weights, so that one always serves."""

import time
from collections.abc import Mapping, Sequence

from pipe_proxies.haproxy.runtime import FULL, Runtime, Server
from runner.plugin import DeliveryCall, DeliveryError

#: Seconds that a server has to become healthy in haproxy's eyes.
PATIENCE = 10.0
_PAUSE = 0.02


def shift(
    call: DeliveryCall, runtime: Runtime, shares: Mapping[str, int], names: Mapping[str, str]
) -> None:
    """Give servers these shares of 100, and all others of the backend none.

    Servers that get something first have to be healthy; if one is not, nothing has changed.
    `names` are those that users know the servers by.
    """
    servers = runtime.servers()
    _refuse_unknown(runtime, servers, shares)
    new = [name for name, share in shares.items() if share and not servers[name].share]
    runtime.change([line for name in new for line in _warm(runtime, name)])
    try:
        _await_healthy(call, runtime, [name for name, share in shares.items() if share], names)
    except DeliveryError:
        runtime.change([line for name in new for line in _rest(runtime, name)])
        raise
    serving = [(name, share) for name, share in shares.items() if share]
    away = [s.name for s in servers.values() if not shares.get(s.name) and _may_serve(s)]
    weights = [f"set server {runtime.backend}/{name} weight {scaled(s)}" for name, s in serving]
    runtime.change(weights + [line for name in away for line in _rest(runtime, name)])


def scaled(share: int) -> int:
    """A share of 100 as haproxy's weight; no share is so small that it gets nothing."""
    return max(1, round(share * FULL / 100)) if share else 0


def unscaled(weight: int) -> int:
    """haproxy's weight as a share of 100."""
    return max(1, round(weight * 100 / FULL)) if weight else 0


def _await_healthy(
    call: DeliveryCall, runtime: Runtime, servers: Sequence[str], names: Mapping[str, str]
) -> None:
    """Returns when haproxy has checked all of these and takes them for healthy."""
    until = time.monotonic() + min(PATIENCE, call.remaining())
    while waiting := _unhealthy(runtime, servers):
        if call.cancelled():
            raise DeliveryError("cancelled before haproxy took the new instances for healthy")
        if time.monotonic() > until:
            raise DeliveryError("; ".join(_complaint(each, names) for each in waiting))
        time.sleep(_PAUSE)


def _unhealthy(runtime: Runtime, names: Sequence[str]) -> list[Server]:
    servers = runtime.servers()
    found = [servers[name] for name in names if name in servers]
    return [server for server in found if not (server.is_up and server.is_checked)]


def _complaint(server: Server, names: Mapping[str, str]) -> str:
    where = f"{names.get(server.name, server.name)} ({server.address or 'of unknown address'})"
    return f"haproxy takes {where} for {server.status}: {server.health or 'it is not checked yet'}"


def _may_serve(server: Server) -> bool:
    # In maintenance for want of an address (`MAINT (resolution)`) it comes back by itself.
    return not server.is_spare and server.status != "MAINT"


def _warm(runtime: Runtime, name: str) -> list[str]:
    """Out of maintenance it is checked, and without a weight it gets no request yet."""
    server = f"{runtime.backend}/{name}"
    return [f"set server {server} weight 0", f"set server {server} state ready"]


def _rest(runtime: Runtime, name: str) -> list[str]:
    # Not `drain`, which still lets in whoever has the server's cookie.
    server = f"{runtime.backend}/{name}"
    return [f"set server {server} state maint", f"set server {server} weight 0"]


def _refuse_unknown(
    runtime: Runtime, servers: Mapping[str, Server], shares: Mapping[str, int]
) -> None:
    missing = sorted(set(shares) - set(servers))
    if missing:
        known = ", ".join(sorted(servers)) or "none"
        raise DeliveryError(
            f"the backend {runtime.backend} of haproxy at {runtime.place} has no server "
            f"{', '.join(missing)} (it has {known})"
        )
