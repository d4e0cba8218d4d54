"""The switch `haproxy`: moves traffic without a reload, so that no request is lost."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.plugin import hookimpl

if TYPE_CHECKING:
    from runner.plugin import PluginSwitch, Switch

DEFAULT_IMAGE = "haproxy:lts"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "listen": {
            "type": ["integer", "string"],
            "description": (
                "Run haproxy in a container that lasts, and let it listen at this port of this "
                "machine, or at the port of one of its addresses."
            ),
            "examples": [8080, "127.0.0.1:8080"],
        },
        "image": {
            "type": "string",
            "minLength": 1,
            "default": DEFAULT_IMAGE,
            "description": "The image of that container: haproxy 2.6 or newer.",
            "examples": ["haproxy:3.0"],
        },
        "network": {
            "type": "string",
            "minLength": 1,
            "description": (
                "The Docker network on which it finds the instances; made when it is missing. "
                "`pipe-APPLICATION-ENVIRONMENT` by default, as for the target `docker`."
            ),
            "examples": ["shop"],
        },
        "name": {
            "type": "string",
            "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$",
            "description": "The container's name; `APPLICATION-ENVIRONMENT-proxy` by default.",
            "examples": ["shop-proxy"],
        },
        "places": {
            "type": "integer",
            "minimum": 1,
            "maximum": 200,
            "default": 16,
            "description": "How many instances of all versions it can know at once.",
            "examples": [32],
        },
        "sticky": {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether who has reached an instance stays with it, by a cookie, for as long as "
                "it gets traffic."
            ),
            "examples": [True],
        },
        "max-connections": {
            "type": "integer",
            "minimum": 10,
            "default": 4000,
            "description": "How many connections it takes at once; more have to wait.",
            "examples": [20000],
        },
        "timeout": {
            "type": "string",
            "default": "60s",
            "description": "How long a client or an instance may be silent in a request.",
            "examples": ["5m"],
        },
        "socket": {
            "type": "string",
            "pattern": "^(/.+|tcp:.+:[0-9]+)$",
            "description": (
                "Use a haproxy of your own instead: its `stats socket` with `level admin`, a file "
                "or `tcp:HOST:PORT`."
            ),
            "examples": ["/run/haproxy/admin.sock", "tcp:127.0.0.1:9999"],
        },
        "backend": {
            "type": "string",
            "pattern": "^[a-zA-Z0-9_.:-]+$",
            "description": "The backend of your own haproxy whose servers are the instances.",
            "examples": ["shop"],
        },
        "state-file": {
            "type": "string",
            "pattern": "^/",
            "description": (
                "Where to write the state of your own haproxy's servers after each change, for "
                "its `load-server-state-from-file`."
            ),
            "examples": ["/var/lib/haproxy/server-state"],
        },
    },
}


@hookimpl
def switches() -> "list[PluginSwitch]":
    from runner.plugin import PluginSwitch

    return [PluginSwitch("haproxy", SCHEMA, open_switch)]


def open_switch(settings: Mapping[str, Any]) -> "Switch":
    """A haproxy of the user's when there is a `socket`, else one that Pipe runs."""
    from runner.plugin import DeliveryError

    own, ours = {"socket", "backend", "state-file"}, set(settings)
    if "socket" in settings:
        return _existing(settings)
    if mixed := own & ours:
        raise DeliveryError(f"haproxy: `{min(mixed)}` goes with `socket`, which is missing")
    if "listen" not in settings:
        raise DeliveryError(
            "haproxy: set `listen` to the port that it is to have on this machine, or `socket` and "
            "`backend` of a haproxy of your own"
        )
    return _managed(settings)


def _managed(settings: Mapping[str, Any]) -> "Switch":
    from pipe_proxies.addresses import listen_address
    from pipe_proxies.haproxy.managed import ManagedProxy, Settings
    from runner.plugin import seconds

    return ManagedProxy(
        Settings(
            published=listen_address("haproxy", settings["listen"]),
            image=settings.get("image", DEFAULT_IMAGE),
            network=settings.get("network", ""),
            name=settings.get("name", ""),
            places=settings.get("places", 16),
            is_sticky=settings.get("sticky", False),
            connections=settings.get("max-connections", 4000),
            timeout=seconds(settings.get("timeout", "60s")),
        )
    )


def _existing(settings: Mapping[str, Any]) -> "Switch":
    from pipe_proxies.haproxy.existing import ExistingProxy
    from runner.plugin import DeliveryError

    foreign = sorted(set(settings) - {"socket", "backend", "state-file"})
    if foreign:
        raise DeliveryError(f"haproxy: `{foreign[0]}` is for a haproxy that Pipe runs itself")
    if "backend" not in settings:
        raise DeliveryError("haproxy: `socket` needs the `backend` whose servers are the instances")
    return ExistingProxy(settings["socket"], settings["backend"], settings.get("state-file", ""))
