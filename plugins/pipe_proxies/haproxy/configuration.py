"""The configuration of a managed haproxy: with it, it comes back as it was after any restart."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipe_proxies.haproxy.seats import Seat
from pipe_proxies.haproxy.shifting import scaled

#: Where the folder with the configuration and the socket is in the container.
INSIDE = "/pipe"
#: The port in the container; which one that is outside is the engine's business.
PORT = 8080
BACKEND = "app"

# DNS answers of the engine: a name that is gone is believed soon, an engine that is gone is not.
# A request that is not repeated by its nature is never sent twice.
_TEXT = """\
global
    log stdout format raw daemon notice
    maxconn {connections}
    stats socket {inside}/admin.sock mode 600 level admin
defaults
    log global
    mode http
    timeout connect 3s
    timeout client {timeout}ms
    timeout server {timeout}ms
    timeout tunnel 1h
    option forwardfor
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
resolvers engine
    nameserver engine 127.0.0.11:53
    timeout resolve 200ms
    timeout retry 1s
    hold valid 1s
    hold nx 10s
    hold refused 1h
    hold timeout 1h
    hold other 1h
frontend public
    bind :{port}
    http-request disable-l7-retry if !{{ method GET HEAD OPTIONS }}
    default_backend {backend}
backend {backend}
    balance roundrobin
{cookie}    default-server check inter 200ms downinter 200ms rise 1 fall 5
    default-server resolvers engine init-addr libc,none
{servers}
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of the configuration does not change from one deployment to the next."""

    container: str
    connections: int
    timeout: float
    is_sticky: bool


def render(shape: Shape, seats: Sequence[Seat]) -> str:
    return _TEXT.format(
        inside=INSIDE,
        port=PORT,
        backend=BACKEND,
        connections=shape.connections,
        timeout=round(shape.timeout * 1000),
        cookie="    cookie pipe-place insert indirect nocache httponly\n"
        if shape.is_sticky
        else "",
        servers="\n".join(_server(shape, seat) for seat in seats),
    )


def _server(shape: Shape, seat: Seat) -> str:
    # Who rests has a name that the engine knows, and asks nobody else for.
    host = f"{seat.host}:{seat.port}" if seat.share else f"{shape.container}:1"
    cookie = f" cookie {seat.server}" if shape.is_sticky else ""
    state = "" if seat.share else " disabled"
    return f"    server {seat.server} {host}{cookie} weight {scaled(seat.share)}{state}"
