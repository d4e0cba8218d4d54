"""Where a proxy listens on this machine, and where it finds instances."""

import re
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.plugin import DeliveryError, Finding, Instance

if TYPE_CHECKING:
    from runner.plugin import Weights

#: [HOST:]PORT, with the host in brackets when it is an IPv6 address.
_LISTEN = re.compile(r"(?:(\[[0-9a-fA-F:]+\]|[0-9.]+):)?([0-9]{1,5})")
#: HOST:PORT that can stand in a configuration, and means nothing else there.
_PLACE = re.compile(r"([a-zA-Z0-9_.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")


def listen_address(proxy: str, value: object) -> tuple[str, int]:
    """The setting `listen`: an address of this machine and a port."""
    found = _LISTEN.fullmatch(str(value))
    if not found or not 0 < int(found[2]) < 65536:
        raise DeliveryError(
            f"{proxy}: `listen` is the port that the proxy gets on this machine: 8080, or "
            f"127.0.0.1:8080; {value!r} is none"
        )
    return (found[1] or "0.0.0.0").strip("[]"), int(found[2])


def url_of(address: tuple[str, int]) -> str:
    """How this machine reaches a proxy that listens there."""
    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def free_or_findings(address: tuple[str, int]) -> list[Finding]:
    """What would keep a proxy from listening there."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return [Finding(f"the proxy cannot listen at {host}:{port}: {error.strerror}")]
    return []


def inside_of(instance: Instance, own: str) -> tuple[str, int]:
    """The instance's lasting name and port for containers; `own` are the settings without it."""
    if not instance.inside:
        raise DeliveryError(
            f"{instance.name} has no lasting name for other containers: with this target, use a "
            f"proxy of your own by {own}"
        )
    return _parts(instance, instance.inside)


def address_of(instance: Instance) -> tuple[str, int]:
    """The instance's host and port for this machine."""
    if not instance.address:
        raise DeliveryError(f"{instance.name} has no address: it does not run")
    return _parts(instance, instance.address)


def _parts(instance: Instance, place: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(place)
    if not found or not _NAME.fullmatch(instance.name):
        raise DeliveryError(f"an instance {instance.name!r} at {place!r} cannot be addressed")
    return found[1].strip("[]"), int(found[2])


def shares_of(instances: Sequence[Instance], weights: "Weights") -> dict[str, int]:
    """What each instance gets; nobody else may get anything."""
    shares = {instance.name: weights.get(instance.name, 0) for instance in instances}
    if lost := sorted(name for name, weight in weights.items() if weight and name not in shares):
        raise DeliveryError(f"{', '.join(lost)} cannot get requests: there is no such instance")
    return shares
