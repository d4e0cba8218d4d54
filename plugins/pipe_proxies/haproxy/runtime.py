"""haproxy's runtime interface: commands over a socket, and what it says of its servers."""

import csv
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runner.plugin import DeliveryError

#: The weight of a server that gets all that it can get.
FULL = 256
#: Seconds without an answer after which haproxy counts as stuck.
PATIENCE = 10.0
_LONGEST_PATH = 103
_LONGEST = 4 * 1024 * 1024
_REFUSAL = re.compile(r"^\[[0-3]\]: *(.*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Server:
    """What haproxy says of one server of a backend. `address` is "" until it is known."""

    name: str
    status: str
    weight: int
    address: str
    health: str
    is_spare: bool
    is_up: bool
    is_checked: bool
    counted: Mapping[str, str]

    @property
    def share(self) -> int:
        """The weight that counts for new requests: 0 for one that is kept away from them.

        One whose address is not known for now (`MAINT (resolution)`) is not kept away.
        """
        is_away = self.status.startswith(("MAINT", "DRAIN")) and "(resolution)" not in self.status
        return 0 if is_away else self.weight

    @property
    def host(self) -> str:
        """The address without the port."""
        return self.address.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class Runtime:
    """One backend of a running haproxy, behind `place`: a socket file, or `tcp:host:port`."""

    place: str
    backend: str

    def change(self, commands: Sequence[str]) -> None:
        """Do all of these in one go; raises DeliveryError with what haproxy refuses."""
        if commands and (refusal := self.refusal("; ".join(commands))):
            raise DeliveryError(f"haproxy at {self.place} refuses: {refusal}")

    def refusal(self, command: str) -> str:
        """What haproxy has against a command that was given to it; "" when it was done."""
        return " ".join(_REFUSAL.findall(self.ask(f"set severity-output number; {command}")))

    def servers(self) -> Mapping[str, Server]:
        """All servers of the backend by name, as they are now."""
        answer = self.ask(f"show stat {self.backend} 4 -1")
        if not answer.startswith("# pxname,"):
            raise DeliveryError(f"haproxy at {self.place}, backend {self.backend}: {answer[:200]}")
        rows = csv.DictReader(answer[2:].splitlines())
        return {row["svname"]: _server(row) for row in rows if row["pxname"] == self.backend}

    def names(self) -> Mapping[str, str]:
        """The host name behind which each server's address is looked for."""
        head, *rows = self.ask(f"show servers state {self.backend}").partition("# ")[2].splitlines()
        found = [dict(zip(head.split(), row.split(), strict=False)) for row in rows]
        return {row["srv_name"]: row["srv_fqdn"] for row in found}

    def ask(self, command: str) -> str:
        """Everything that haproxy answers to a line."""
        try:
            with _connected(self.place) as connection:
                connection.sendall(command.encode() + b"\n")
                answer = b"".join(_blocks(connection))
        except OSError as error:
            raise DeliveryError(f"haproxy does not answer at {self.place}: {error}") from error
        return answer.decode(errors="replace").strip()


def _blocks(connection: socket.socket) -> Iterator[bytes]:
    length = 0
    while block := connection.recv(65536):
        length += len(block)
        if length > _LONGEST:
            raise OSError("its answer has no end")
        yield block


@contextmanager
def _connected(place: str) -> Iterator[socket.socket]:
    if place.startswith("tcp:"):
        host, _, port = place.removeprefix("tcp:").rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
            yield connection
        return
    with socket.socket(socket.AF_UNIX) as connection, _short(Path(place)) as path:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        yield connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A path of a socket that the system takes; a folder that is open has a short one."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def _server(row: Mapping[str, str]) -> Server:
    health, rise, fall = (_number(row[f"check_{name}"]) for name in ("health", "rise", "fall"))
    checks = row["status"] != "no check"
    return Server(
        name=row["svname"],
        status=row["status"],
        weight=_number(row["uweight"]),
        address=row["addr"],
        health=" ".join(filter(None, (row["check_desc"], row["last_chk"]))),
        is_spare=row["bck"] == "1",
        is_up=row["status"].startswith(("UP", "no check")),
        # Out of maintenance it counts as healthy by one point, until the first check has a result.
        is_checked=not checks or health > rise or fall == 1,
        counted=row,
    )


def _number(text: str) -> int:
    with suppress(ValueError):
        return int(text)
    return 0
