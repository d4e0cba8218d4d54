"""The check `tls`: a certificate that is trusted, for the right names, long enough, and no old TLS."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pipe_checks.asking.deadlines import Deadline, deadline_of
from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import Place, place_of, places, short, worst
from pipe_checks.asking.trust import trust
from pipe_checks.asking.wires import trouble, wire
from pipe_checks.tls import VERSIONS
from runner.plugin import CheckResult, DeliveryError, failed, passed

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSocket

    from runner.plugin import CheckCall

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server showed. `details` is its certificate as Python has it."""

    der: bytes
    version: str
    details: Mapping[str, Any]

    @property
    def days(self) -> float:
        import ssl

        return (ssl.cert_time_to_seconds(self.details["notAfter"]) - time.time()) / DAY

    @property
    def names(self) -> list[str]:
        """The names of hosts, and addresses, that it is for."""
        return [name for _, name in self.details.get("subjectAltName", ())]


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    found = _places(call, settings)
    contexts = _contexts(call, settings)
    deadline = deadline_of(call)

    def ask(place: Place) -> CheckResult:
        names = settings.texts("names", [place.host])
        try:
            seen = _look(place, names[0], contexts, deadline)
            older = _speaks_older(place, names[0], settings, deadline)
        except OSError as error:
            return failed(f"{place.host}:{place.port}: {trouble(error)}")
        return _judged(place, seen, settings, names, older)

    return worst(found, ask)


def _places(call: "CheckCall", settings: Settings) -> list[Place]:
    host, port = settings.text("host"), settings.whole("port", 0)
    if settings.has("url"):
        if host or port:
            raise DeliveryError("`url` says it all: `host` and `port` cannot stand beside it")
        return [place_of(settings.text("url"))]
    return places(call, host, port or (443 if host else 0))


def _contexts(call: "CheckCall", settings: Settings) -> "tuple[SSLContext, bool]":
    """How to look at the certificate, and whether its chain is checked."""
    import ssl

    has_chain = settings.flag("chain", default=True)
    context = trust(call, settings)()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if has_chain else ssl.CERT_NONE
    context.minimum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[
        _oldest(settings)
    ]
    return context, has_chain


def _oldest(settings: Settings) -> str:
    oldest = settings.text("min-version", "1.2")
    if oldest not in VERSIONS:
        raise DeliveryError("`min-version` is neither 1.2 nor 1.3")
    return oldest


def _look(place: Place, name: str, contexts: "tuple[SSLContext, bool]", deadline: Deadline) -> Seen:
    context, has_chain = contexts
    seen = _shake_hands(place, name, context, deadline)
    if has_chain:
        return seen
    # Python reads a certificate only when it trusts it: so trust this one, and nothing else
    return _shake_hands(place, name, _trusting(seen.der), deadline)


def _shake_hands(place: Place, name: str, context: "SSLContext", deadline: Deadline) -> Seen:
    with wire(place.host, place.port, deadline, context, name) as opened:
        sock = cast("SSLSocket", opened.socket)
        der = sock.getpeercert(binary_form=True) or b""
        return Seen(der, sock.version() or "", sock.getpeercert() or {})


def _trusting(der: bytes) -> "SSLContext":
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=der)
    return context


def _speaks_older(place: Place, name: str, settings: Settings, deadline: Deadline) -> str:
    """The version of TLS that it should refuse and does not, or ""."""
    import ssl

    try:
        return _shake_hands(place, name, _older(_oldest(settings)), deadline).version
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return ""


def _older(oldest: str) -> "SSLContext":
    import ssl
    import warnings

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # old versions want what is too weak by now
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        is_old = oldest == "1.2"
        context.maximum_version = ssl.TLSVersion.TLSv1_1 if is_old else ssl.TLSVersion.TLSv1_2
    return context


def _judged(
    place: Place, seen: Seen, settings: Settings, names: Sequence[str], older: str
) -> CheckResult:
    least = settings.whole("min-days", 14)
    problems = list(_problems(seen, least, names))
    problems += [f"it still speaks {older}"] if older else []
    details: dict[str, Any] = {
        "value": round(seen.days, 1),
        "limit": least,
        "samples": 1,
        "evidence": _evidence(seen),
    }
    if problems:
        return failed(f"{place.host}:{place.port}: {'; '.join(problems)}", **details)
    return passed(f"valid for {seen.days:.0f} days, {seen.version}", **details)


def _problems(seen: Seen, least: int, names: Sequence[str]) -> Iterator[str]:
    if seen.days < least:
        yield f"the certificate is valid for {max(seen.days, 0):.0f} days, less than {least}"
    for name in names:
        if not any(is_for(pattern, name) for pattern in seen.names):
            yield f"the certificate is not for `{short(name, 80)}`"


def is_for(pattern: str, name: str) -> bool:
    """Whether a certificate's name covers a host's; a `*` stands for its first part."""
    pattern, name = pattern.lower(), name.lower().rstrip(".")
    first, _, rest = name.partition(".")
    return pattern == name or bool(first and rest and pattern == f"*.{rest}")


def _evidence(seen: Seen) -> dict[str, Any]:
    issuer = [text for part in seen.details.get("issuer", ()) for _, text in part]
    return {
        "names": [short(name, 80) for name in seen.names[:10]],
        "issuer": short(", ".join(issuer)),
        "not-after": seen.details["notAfter"],
        "protocol": seen.version,
    }
