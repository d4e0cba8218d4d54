"""Reads settings whose expressions are evaluated, so that they may be other than their schema says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipe_machines.names import label
from runner.plugin import DeliveryError, seconds

LOCAL = "local"
MODE = "u=rwX,go=rX"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user gave. Every method raises DeliveryError for what it cannot read."""

    values: Mapping[str, Any]

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DeliveryError(f"`{name}` is not text")
        return str(value)

    def line(self, name: str, default: str = "") -> str:
        """Text without line breaks and the like."""
        return one_line(name, self.text(name, default))

    def lines(self, name: str) -> list[str]:
        value = self.values.get(name) or []
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise DeliveryError(f"`{name}` is not a list")
        return [one_line(name, str(each)) for each in value]

    def seconds(self, name: str, default: str) -> float:
        return seconds(self.text(name, default))

    def hosts(self) -> list[str]:
        """The machines, each once; their names are different too."""
        hosts, seen = self.lines("hosts") or [LOCAL], dict[str, str]()
        for host in hosts:
            if host != LOCAL and not host.startswith("ssh://"):
                hint = "write `local` or `ssh://[user@]host[:port]`"
                raise DeliveryError(f"`{host}` in `hosts` is no machine: {hint}")
            if label(host) in seen:
                other = seen[label(host)]
                raise DeliveryError(f"`hosts` has {other} and {host}, which get the same name")
            seen[label(host)] = host
        return hosts

    def folder(self, name: str, default: str = "") -> str:
        """A path without dots that lead out of it."""
        path = self.line(name, default).rstrip("/")
        if not path or ".." in path.split("/"):
            raise DeliveryError(f"`{name}` is not the path of a folder of its own")
        return path

    def shared(self) -> list[str]:
        paths = self.lines("shared")
        for path in paths:
            if path.startswith("/") or {"", ".", ".."} & set(path.removesuffix("/").split("/")):
                raise DeliveryError(f"`{path}` in `shared` is no path below the release")
        return paths

    def ports(self) -> tuple[int, ...]:
        value = self.values.get("ports") or (8001, 8002)
        try:
            ports = tuple(int(each) for each in value)
        except (TypeError, ValueError):
            raise DeliveryError("`ports` is not a list of two numbers") from None
        if len(set(ports)) != 2 or not all(0 < port < 65536 for port in ports):
            raise DeliveryError("`ports` has to be two different ports, for blue and green")
        return ports

    def env(self, reserved: Sequence[str] = ()) -> dict[str, str]:
        """Variables; truth is written as in YAML."""
        value = self.values.get("env") or {}
        if not isinstance(value, Mapping):
            raise DeliveryError("`env` is not a map")
        for name in value:
            if not _NAME.fullmatch(name) or name in reserved:
                raise DeliveryError(f"`env` may not set `{name}`")
        return {
            name: str(text).lower() if isinstance(text, bool) else str(text)
            for name, text in value.items()
        }


def one_line(name: str, text: str) -> str:
    if _CONTROLS.search(text):
        raise DeliveryError(f"`{name}` may not have line breaks or control characters in it")
    return text
