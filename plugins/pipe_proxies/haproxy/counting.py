"""What haproxy has counted of a server, in the words of the plugin interface."""

from contextlib import suppress

from pipe_proxies.haproxy.runtime import Server
from runner.plugin import Traffic

#: Answers that say so, answers that broke off or never came, and connections that failed.
_ERRORS = ("hrsp_5xx", "eresp", "econ")


def traffic_of(server: Server) -> Traffic:
    requests = _count(server, "stot")
    return Traffic(
        requests=requests,
        errors=sum(_count(server, column) for column in _ERRORS),
        mean_time=_count(server, "ttime") / 1000 if requests else None,
        in_flight=_count(server, "scur"),
    )


def _count(server: Server, column: str) -> int:
    with suppress(ValueError):
        return int(server.counted.get(column) or 0)
    return 0
