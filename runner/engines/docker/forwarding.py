"""Services on `localhost`: where a job names no container, GitHub's machine has their ports itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from runner.engines.docker.stream import payloads, start_exec

if TYPE_CHECKING:
    from docker import APIClient

#: What can pass connections on, in the order of how fast it starts, and its script.
PROGRAMS = {"perl": "forward.pl", "python3": "forward.py", "node": "forward.js"}
_CHOOSE = """\
if perl -MIO::Socket::IP -e 1 2>/dev/null; then exec perl -e "$PIPE_PERL" "$@"; fi
if command -v python3 >/dev/null 2>&1; then exec python3 -c "$PIPE_PYTHON3" "$@"; fi
if command -v node >/dev/null 2>&1; then exec node -e "$PIPE_NODE" -- "$@"; fi
echo none
"""
_NO_PROGRAM = "none"


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of a service that is published as `outside`."""

    outside: str
    service: str
    inside: str

    def __str__(self) -> str:
        return f"{self.outside}={self.service}:{self.inside}"


def forwards_of(service: str, container: Mapping[str, Any]) -> list[Forward]:
    """The TCP ports that a container has published, as the engine describes it."""
    ports = container["NetworkSettings"]["Ports"] or {}
    found = []
    for name, bindings in ports.items():
        inside, _, protocol = name.partition("/")
        if protocol == "tcp":
            outside = {binding["HostPort"] for binding in bindings or ()}
            found += [Forward(port, service, inside) for port in sorted(outside)]
    return found


def forward(api: "APIClient", container: str, forwards: list[Forward]) -> str:
    """Have the box pass on what is sent to these ports of its `localhost`; gives what is wrong.

    It goes on until the box ends.
    """
    folder = resources.files(__package__)
    scripts = {
        f"PIPE_{program.upper()}": folder.joinpath(file).read_text()
        for program, file in PROGRAMS.items()
    }
    command = ["/bin/sh", "-c", _CHOOSE, "sh", *map(str, forwards)]
    execution = api.exec_create(container, command, environment=scripts)["Id"]
    response = start_exec(api, execution, tty=False)
    said = next(payloads(response), b"").decode(errors="replace").strip()
    response.close()
    return complaint(said, forwards)


def complaint(said: str, forwards: list[Forward]) -> str:
    if said == "ready":
        return ""
    names = ", ".join(dict.fromkeys(f"`{each.service}:{each.inside}`" for each in forwards))
    if said == _NO_PROGRAM:
        why = "the image has neither perl nor python3 nor node"
        return f"services do not answer at `localhost`, because {why}: use {names}"
    if said.startswith("taken "):
        return f"these ports of `localhost` are in use already: {said.removeprefix('taken ')}"
    return f"services do not answer at `localhost` ({said[:200]}): use {names}"
