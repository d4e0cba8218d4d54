"""The switch `nginx`: moves traffic by a reload that is read back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.plugin import hookimpl

if TYPE_CHECKING:
    from runner.plugin import PluginSwitch, Switch

DEFAULT_IMAGE = "nginx:stable"
#: Settings for an nginx that others run; all the rest is for one that Pipe runs.
THEIRS = frozenset({"config", "upstream", "machine", "container", "test", "reload", "status"})

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "listen": {
            "type": ["integer", "string"],
            "description": (
                "Run nginx in a container that lasts, and let it listen at this port of this "
                "machine, or at the port of one of its addresses."
            ),
            "examples": [8080, "127.0.0.1:8080"],
        },
        "image": {
            "type": "string",
            "minLength": 1,
            "default": DEFAULT_IMAGE,
            "description": "The image of that container; it has curl, wget or bash.",
            "examples": ["nginx:1.26"],
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
        "sticky": {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether a client, known by its address and browser, stays with an instance as "
                "long as the weights allow."
            ),
            "examples": [True],
        },
        "max-connections": {
            "type": "integer",
            "minimum": 10,
            "default": 4000,
            "description": "How many connections each of its processes takes at once.",
            "examples": [20000],
        },
        "max-body": {
            "type": "string",
            "pattern": "^[0-9]+[kmg]?$",
            "default": "0",
            "description": "How large a request may be; `0` is without a limit.",
            "examples": ["10m"],
        },
        "timeout": {
            "type": "string",
            "default": "60s",
            "description": (
                "How long an instance may be silent in a request, and how long a request may go "
                "on after a switch away from its instance."
            ),
            "examples": ["5m"],
        },
        "config": {
            "type": "string",
            "pattern": "^/",
            "description": (
                "Use an nginx of your own instead, and write this file, which its `http` block "
                "has to include. It is Pipe's alone."
            ),
            "examples": ["/etc/nginx/conf.d/shop.conf"],
        },
        "upstream": {
            "type": "string",
            "pattern": "^[a-zA-Z0-9_.-]+$",
            "description": "The upstream in it: your own files have `proxy_pass http://UPSTREAM`.",
            "examples": ["shop"],
        },
        "machine": {
            "type": "string",
            "minLength": 1,
            "default": "local",
            "description": "Where your nginx runs: `local`, or `ssh://[USER@]HOST[:PORT]`.",
            "examples": ["ssh://deploy@web1.example"],
        },
        "container": {
            "type": "string",
            "minLength": 1,
            "description": "The container that your nginx runs in, instead of a machine.",
            "examples": ["web"],
        },
        "test": {
            "type": "string",
            "minLength": 1,
            "default": "nginx -t",
            "description": "The command that checks the configuration before a reload.",
            "examples": ["sudo nginx -t"],
        },
        "reload": {
            "type": "string",
            "minLength": 1,
            "default": "nginx -s reload",
            "description": "The command that makes it read its configuration.",
            "examples": ["sudo systemctl reload nginx"],
        },
        "status": {
            "type": "string",
            "pattern": "^(\\[[0-9a-fA-F:]+\\]|[0-9.]+):[0-9]+$",
            "default": "127.0.0.1:9180",
            "description": (
                "A free address on its machine at which nginx says by which file it goes: it never "
                "reports a reload that it refuses."
            ),
            "examples": ["127.0.0.1:9181"],
        },
    },
}


@hookimpl
def switches() -> "list[PluginSwitch]":
    from runner.plugin import PluginSwitch

    return [PluginSwitch("nginx", SCHEMA, open_switch)]


def open_switch(settings: Mapping[str, Any]) -> "Switch":
    """An nginx of the user's when there is a `config`, else one that Pipe runs."""
    from runner.plugin import DeliveryError

    if "config" in settings:
        return _existing(settings)
    if theirs := sorted(THEIRS & set(settings)):
        raise DeliveryError(f"nginx: `{theirs[0]}` goes with `config`, which is missing")
    if "listen" not in settings:
        raise DeliveryError(
            "nginx: set `listen` to the port that it is to have on this machine, or `config` and "
            "`upstream` of an nginx of your own"
        )
    return _managed(settings)


def _managed(settings: Mapping[str, Any]) -> "Switch":
    from pipe_proxies.addresses import listen_address
    from pipe_proxies.nginx.configuration import Shape
    from pipe_proxies.nginx.managed import ManagedProxy
    from runner.plugin import seconds

    return ManagedProxy(
        published=listen_address("nginx", settings["listen"]),
        image=settings.get("image", DEFAULT_IMAGE),
        network=settings.get("network", ""),
        name=settings.get("name", ""),
        shape=Shape(
            connections=settings.get("max-connections", 4000),
            timeout=seconds(settings.get("timeout", "60s")),
            body=settings.get("max-body", "0"),
            is_sticky=settings.get("sticky", False),
        ),
    )


def _existing(settings: Mapping[str, Any]) -> "Switch":
    from pipe_proxies.nginx.configuration import STATUS
    from pipe_proxies.nginx.existing import ExistingProxy
    from runner.plugin import DeliveryError

    if ours := sorted(set(settings) - THEIRS):
        raise DeliveryError(f"nginx: `{ours[0]}` is for an nginx that Pipe runs itself")
    if "upstream" not in settings:
        raise DeliveryError("nginx: `config` needs the `upstream` that it is to have")
    if {"machine", "container"} <= set(settings):
        raise DeliveryError("nginx: it runs on a `machine` or in a `container`, not both")
    return ExistingProxy(
        file=settings["config"],
        upstream=settings["upstream"],
        machine=settings.get("machine", "local"),
        container=settings.get("container", ""),
        test=settings.get("test", "nginx -t"),
        reload=settings.get("reload", "nginx -s reload"),
        status=settings.get("status", STATUS),
    )
