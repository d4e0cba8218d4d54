"""`ports`: which ports of a container are reachable from outside, as the engine wants and tells it."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from runner.errors import InvalidInputError

_MAPPING = re.compile(
    r"(?:(?:(?P<address>[^\[\]]*|\[[^\[\]]*\]):)?(?P<first>\d*)(?:-(?P<last>\d+))?:)?"
    r"(?P<inside>\d+)(?P<protocol>/(?:tcp|udp|sctp))?",
    re.ASCII,
)
_HIGHEST = 65535


def read_ports(
    ports: Sequence[str], key: str = "container.ports"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`["8080:80", "53/udp"]` as the engine's exposed ports and bindings.

    Raises InvalidInputError for what is not `[[ADDRESS:]PORT[-PORT]:]PORT[/PROTOCOL]`; it names the
    `key` that they are from.
    """
    exposed: dict[str, Any] = {}
    bindings: dict[str, Any] = {}
    for entry in map(str, ports):
        found = _MAPPING.fullmatch(entry)
        if not found or not _is_possible(found):
            raise InvalidInputError(
                f"`{key}`: `{entry}` is not a port such as `80`, `8080:80`"
                " or `127.0.0.1:5353:53/udp`"
            )
        port = found["inside"] + (found["protocol"] or "/tcp")
        exposed[port] = {}
        bindings.setdefault(port, []).append(_binding(found))
    return exposed, bindings


def published(container: Mapping[str, Any]) -> dict[str, str]:
    """Ports inside -> those of the host, by what the engine says of a container; where a number has
    several protocols, TCP's."""
    found = container["NetworkSettings"]["Ports"] or {}
    ports = {port.partition("/"): bindings for port, bindings in found.items() if bindings}
    return {
        number: str(bindings[0]["HostPort"])
        for (number, _, _), bindings in sorted(ports.items(), key=lambda each: each[0][2] == "tcp")
    }


def _binding(found: re.Match[str]) -> dict[str, str]:
    outside = found["first"] or ""
    return {
        "HostIp": (found["address"] or "").strip("[]"),
        "HostPort": f"{outside}-{found['last']}" if found["last"] else outside,
    }


def _is_possible(found: re.Match[str]) -> bool:
    first, last, inside = (int(found[name] or 0) for name in ("first", "last", "inside"))
    if found["last"] and not (found["first"] and first <= last):
        return False
    return 0 < inside <= _HIGHEST and max(first, last) <= _HIGHEST and _is_address(found["address"])


def _is_address(text: str | None) -> bool:
    if not text:
        return True
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
