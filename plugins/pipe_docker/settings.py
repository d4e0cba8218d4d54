"""The settings of a target, read once and typed."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipe_docker.names import host_name
from pipe_docker.schema import SETTINGS
from runner.plugin import DeliveryError, seconds

LOCAL = "local"
#: The part that a command line gets may not look like an option of it.
_SSH = re.compile(r"ssh://([A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9][\w.-]*(:[0-9]{1,5})?")
_TCP = re.compile(r"tcp://[A-Za-z0-9\[][\w.:\[\]-]*:[0-9]{1,5}")
#: Networks on which containers have no names, or no addresses of their own.
_NAMELESS = re.compile(r"bridge|host|none|default|container:.*")


@dataclass(frozen=True, slots=True)
class Settings:
    """What has a meaning for us; `raw` has all, also what goes to the engine as it is."""

    image: str
    hosts: tuple[str, ...]
    replicas: int
    port: int
    publish: str
    network: str
    pull: str
    credentials: Mapping[str, str] | None
    grace: float
    raw: Mapping[str, Any] = field(repr=False)


_KINDS: Mapping[str, tuple[Any, str]] = {
    "string": ((str, int, float), "text"),
    "array": (list, "a list"),
    "object": (Mapping, "a map"),
    "boolean": (bool, "true or false"),
    "integer": ((int, float, str), "a number"),
    "number": ((int, float, str), "a number"),
}


def mistake(raw: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """What an expression made of a setting that the schema could only take on trust; "" for none."""
    for name, value in raw.items():
        kind, words = _KINDS[properties[name].get("type", "string")]
        if not isinstance(value, kind):
            return f"`{name}` is {value!r} and not {words}"
    return ""


def read_settings(raw: Mapping[str, Any]) -> Settings:
    """Raises DeliveryError for what only the values can tell."""
    if problem := mistake(raw, SETTINGS):
        raise DeliveryError(problem)
    return Settings(
        image=str(raw.get("image") or "") or _missing("image"),
        hosts=_hosts(raw.get("hosts") or [LOCAL]),
        replicas=number(raw, "replicas", 1),
        port=number(raw, "port", 0),
        publish=str(raw.get("publish") or ""),
        network=_network(str(raw.get("network") or "")),
        pull=str(raw.get("pull") or "missing"),
        credentials=raw.get("credentials"),
        grace=seconds(str(raw.get("stop-grace") or "10s")),
        raw=raw,
    )


def number(raw: Mapping[str, Any], name: str, default: int) -> int:
    value = raw.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise DeliveryError(f"`{name}` is {value!r} and not a number") from None


def whole_seconds(time: float) -> int:
    """The engine counts in whole seconds."""
    return math.ceil(time)


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Variables and labels are text for the engine; truth is written as in YAML."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }


def _missing(name: str) -> str:
    raise DeliveryError(f"`{name}` is empty")


def _hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for host in hosts:
        if host != LOCAL and not _SSH.fullmatch(host) and not _TCP.fullmatch(host):
            hint = "write `local`, `ssh://[user@]host[:port]` or `tcp://host:port`"
            raise DeliveryError(f"`{host}` is no engine: {hint}")
        other = seen.setdefault(host_name(host), host)
        if other != host or list(hosts).count(host) > 1:
            raise DeliveryError(f"`hosts` has {other} and {host}, which would get the same names")
    return tuple(hosts)


def _network(name: str) -> str:
    if _NAMELESS.fullmatch(name):
        raise DeliveryError(
            f"containers in the network `{name}` cannot be told apart by name and address: "
            "leave `network` out, or make one with `docker network create`"
        )
    return name
