"""Where a check asks: one address, or every instance, of which the worst answer counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from runner.plugin import CheckResult, DeliveryError, failed

if TYPE_CHECKING:
    from runner.plugin import CheckCall, Machine

#: From good to bad.
ORDER = ("pass", "inconclusive", "error", "fail")
PORTS = {"http": 80, "https": 443}
#: How many instances are asked at once.
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where something listens; `instance` is its name, if it is one. `host` is "" for an instance
    that has no address."""

    host: str
    port: int
    scheme: str = "http"
    instance: str = ""

    @property
    def netloc(self) -> str:
        """Host and port as they stand in a URL, without a port that goes without saying."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def places(call: "CheckCall", host: str = "", port: int = 0) -> list[Place]:
    """What there is to ask: a host that the user names, what the call is about, or this machine.

    A port that the user names replaces the one of an address. Raises DeliveryError.
    """
    found = [replace(each, port=port or each.port) for each in _bases(call, host, port)]
    if not found:
        raise DeliveryError("there is nothing to ask: give an address or a `port`")
    return found


def _bases(call: "CheckCall", host: str, port: int) -> list[Place]:
    if host:
        return [Place(host, port)]
    if call.address:
        return [place_of(call.address)]
    if call.instances:
        return [replace(_of(each.address), instance=each.name) for each in call.instances]
    return [Place("127.0.0.1", port)] if port else []


def _of(address: str) -> Place:
    return place_of(f"http://{address}") if address else Place("", 0)


def place_of(url: str) -> Place:
    """The host and port of a URL. Raises DeliveryError."""
    parts = split(url)
    return Place(parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme)


def split(url: str) -> SplitResult:
    """A URL's parts. Raises DeliveryError for what is none of HTTP; does not show it, because it
    may hold a password."""
    try:
        parts = urlsplit(url)
        # `port` is read now because it raises ValueError for what is no port
        is_good = parts.scheme in PORTS and parts.hostname and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise DeliveryError("an address is no URL such as `https://example.org/path`")
    return parts


def worst(found: Sequence[Place], ask: Callable[[Place], CheckResult]) -> CheckResult:
    """Ask all of them at once; the worst answer, with the name of the instance that gave it."""
    if len(found) == 1:
        return _named(found[0], _ask(found[0], ask))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(found), AT_ONCE)) as pool:
        answers = list(pool.map(lambda place: _ask(place, ask), found))
    place, answer = max(zip(found, answers, strict=True), key=lambda pair: _badness(pair[1]))
    return _named(place, answer)


def _ask(place: Place, ask: Callable[[Place], CheckResult]) -> CheckResult:
    return ask(place) if place.host else failed("it has no address: does it run?")


def _badness(answer: CheckResult) -> tuple[int, float]:
    return ORDER.index(answer.verdict), answer.value or 0.0


def _named(place: Place, answer: CheckResult) -> CheckResult:
    if not place.instance:
        return answer
    evidence = {"instance": place.instance, **answer.evidence}
    return replace(answer, message=f"{place.instance}: {answer.message}", evidence=evidence)


def machine(call: "CheckCall", name: str) -> "Machine":
    """A machine by the name that the user gave; without one, the job's box, or this machine where
    there is no job. Raises DeliveryError."""
    if name:
        return call.machine(name)
    try:
        return call.machine("job")
    except DeliveryError:
        return call.machine("local")


def short(text: str | bytes, length: int = 200) -> str:
    """The beginning of a text of others, on one line and without control characters."""
    start = text[: 4 * length]
    shown = start.decode(errors="replace") if isinstance(start, bytes) else start
    line = " ".join("".join(each if each.isprintable() else " " for each in shown).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
