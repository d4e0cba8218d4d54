"""`container.ports`: which ports of a box are reachable from outside, as the engine wants it."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from runner.errors import InvalidInputError

_MAPPING = re.compile(
    r"(?:(?:(?P<address>[^\[\]]*|\[[^\[\]]*\]):)?(?P<first>\d*)(?:-(?P<last>\d+))?:)?"
    r"(?P<inside>\d+)(?P<protocol>/(?:tcp|udp|sctp))?",
    re.ASCII,
)
_HIGHEST = 65535


def read_ports(ports: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`["8080:80", "53/udp"]` as the engine's exposed ports and bindings.

    Raises InvalidInputError for what is not `[[ADDRESS:]PORT[-PORT]:]PORT[/PROTOCOL]`.
    """
    exposed: dict[str, Any] = {}
    bindings: dict[str, Any] = {}
    for entry in map(str, ports):
        found = _MAPPING.fullmatch(entry)
        if not found or not _is_possible(found):
            raise InvalidInputError(
                f"`container.ports`: `{entry}` is not a port such as `80`, `8080:80`"
                " or `127.0.0.1:5353:53/udp`"
            )
        port = found["inside"] + (found["protocol"] or "/tcp")
        exposed[port] = {}
        bindings.setdefault(port, []).append(_binding(found))
    return exposed, bindings


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
