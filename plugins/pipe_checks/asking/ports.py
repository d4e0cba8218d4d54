"""The check `ports`: only those listen that may be reached from here."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipe_checks.asking.deadlines import Deadline, deadline_of
from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import Place, places, worst
from pipe_checks.asking.wires import addresses, trouble
from pipe_checks.ports import FORBIDDEN, HIGHEST, RANGE
from runner.plugin import CheckResult, DeliveryError, failed, inconclusive, passed

if TYPE_CHECKING:
    import socket

    from runner.plugin import CheckCall

#: How many ports are asked at once, and how long each may take: a firewall may say nothing.
AT_ONCE, PATIENCE = 200, 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ports to look at, and which of them may be open; all that are not forbidden when
    `allowed` is None."""

    scan: Sequence[int]
    allowed: frozenset[int] | None
    forbidden: frozenset[int]

    def is_wrong(self, port: int) -> bool:
        return port in self.forbidden or (self.allowed is not None and port not in self.allowed)


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    wanted = _wanted(settings)
    deadline = deadline_of(call)
    hosts = {place.host: place for place in places(call, settings.text("host"), port=1)}

    def ask(place: Place) -> CheckResult:
        try:
            family, address = addresses(place.host, 1, deadline)[0]
        except OSError as error:
            return failed(f"{place.host}: {trouble(error)}")
        found, asked = _open_ports(family, address, wanted.scan, deadline)
        return _judged(place, found, asked, wanted)

    return worst(list(hosts.values()), ask)


def _wanted(settings: Settings) -> Wanted:
    allowed = _ports(settings, "allowed") if settings.has("allowed") else None
    standard = [port for port in FORBIDDEN if port not in (allowed or ())]
    forbidden = _ports(settings, "forbidden") if settings.has("forbidden") else standard
    scan = _ports(settings, "scan") if settings.has("scan") else []
    if allowed is not None and not settings.has("scan"):
        scan = list(range(1, 1025))
    # what must not be comes first, should there be too little time
    both = list(dict.fromkeys([*forbidden, *scan]))
    return Wanted(both, None if allowed is None else frozenset(allowed), frozenset(forbidden))


def _ports(settings: Settings, name: str) -> list[int]:
    value = settings.values[name]
    listed = value if isinstance(value, list | tuple) else [value]
    return [port for each in listed for port in _range(str(each), name)]


def _range(text: str, name: str) -> range:
    found = re.fullmatch(RANGE, text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= HIGHEST:
        raise DeliveryError(f"`{name}` has what is no port and no range such as `8000-8999`")
    return range(first, last + 1)


def _open_ports(
    family: int, address: Sequence[Any], ports: Sequence[int], deadline: Deadline
) -> tuple[list[int], int]:
    """Those that are open, and how many could be asked in time."""
    found: list[int] = []
    for start in range(0, len(ports), AT_ONCE):
        some = ports[start : start + AT_ONCE]
        try:
            found += _open_of(family, address, some, min(PATIENCE, deadline.left()))
        except TimeoutError:
            return found, start
    return found, len(ports)


def _open_of(
    family: int, address: Sequence[Any], ports: Sequence[int], seconds: float
) -> list[int]:
    import selectors
    import time

    end, found = time.monotonic() + seconds, []
    with selectors.DefaultSelector() as selector:
        try:
            for port in ports:
                selector.register(_begin(family, address, port), selectors.EVENT_WRITE, port)
            while selector.get_map() and (left := end - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    selector.unregister(key.fileobj)
                    found += [key.data] if is_open(key.fileobj) else []
        finally:
            for key in list(selector.get_map().values()):
                _close(key.fileobj)
    return found


def _begin(family: int, address: Sequence[Any], port: int) -> "socket.socket":
    import socket

    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    with suppress(OSError):
        sock.connect((address[0], port, *address[2:]))
    return sock


def is_open(sock: Any) -> bool:
    """Whether somebody else answered: on one machine, a connection can find itself."""
    try:
        return bool(sock.getpeername() != sock.getsockname())
    except OSError:
        return False
    finally:
        sock.close()


def _close(sock: Any) -> None:
    sock.close()


def _judged(place: Place, found: Sequence[int], asked: int, wanted: Wanted) -> CheckResult:
    wrong = [port for port in found if wanted.is_wrong(port)]
    evidence = {"host": place.host, "open": sorted(found)[:100], "asked": asked}
    details: dict[str, Any] = {"value": len(wrong), "limit": 0, "samples": asked}
    if wrong:
        told = f"{place.host}: these ports are open: {_listed(wrong)}"
        return failed(told, evidence=evidence, **details)
    if asked < len(wanted.scan):
        told = f"{place.host}: only {asked} of {len(wanted.scan)} ports could be asked in time"
        return inconclusive(told, evidence=evidence, **details)
    return passed(f"{asked} ports asked, {len(found)} open", evidence=evidence, **details)


def _listed(ports: Sequence[int]) -> str:
    return ", ".join(_some(sorted(ports)))


def _some(ports: Sequence[int]) -> Iterator[str]:
    yield from (str(port) for port in ports[:20])
    if len(ports) > 20:
        yield f"and {len(ports) - 20} more"
