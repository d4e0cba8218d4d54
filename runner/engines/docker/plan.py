"""One box in the making: what was asked for, and the request for its container."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from runner.engines.box import BoxSpec
from runner.engines.control import HostControl
from runner.engines.docker.images import ImageFacts
from runner.engines.docker.locality import Locality
from runner.engines.docker.ports import read_ports
from runner.engines.docker.removal import LABEL
from runner.engines.folders import BoxFolder
from runner.events import Result


@dataclass(slots=True)
class Plan:
    """`config` is the request; `hello` a named pipe that tells whether pipes cross, `nonce` what the
    box reads back if files do."""

    spec: BoxSpec
    image: ImageFacts
    folder: BoxFolder
    config: dict[str, Any]
    locality: Locality
    control: HostControl | None = None
    hello: int | None = None
    nonce: str = "-"
    #: names of its container on the job's network
    aliases: list[str] = field(default_factory=list)

    @property
    def has_network(self) -> bool:
        """Whether the box is on a network of its own; one costs more than a container."""
        return bool(self.spec.services or self.aliases)

    def is_kept(self, result: Result) -> bool:
        return self.spec.keep and result == "failure"


def supervised(spec: BoxSpec, image: ImageFacts, box: str) -> dict[str, Any]:
    """The request for a container that runs the supervisor; `box` is the name of the box."""
    exposed, bindings = read_ports(spec.ports)
    return {
        "Image": image.id,
        "Entrypoint": ["/bin/sh", "-c", _supervisor()],
        "Cmd": [],
        "User": image.user,
        "Env": environment(spec.env),
        "Labels": labels(spec, box),
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "ExposedPorts": exposed,
        "HostConfig": {
            "AutoRemove": not spec.keep,
            "LogConfig": {"Type": "none"},
            "SecurityOpt": ["label=disable"],
            "Binds": list(spec.volumes),
            "PortBindings": bindings,
            "Mounts": [],
        },
    }


def labels(spec: BoxSpec, box: str) -> dict[str, str]:
    """How everything that is made for the box is found again."""
    return {
        "pipe.run": str(spec.run),
        "pipe.job": spec.job,
        "pipe.project": spec.project,
        LABEL: box,
    }


def environment(env: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in env.items()]


@cache
def _supervisor() -> str:
    return resources.files(__package__).joinpath("supervisor.sh").read_text()
