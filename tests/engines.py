"""A second Docker engine on this machine, and an `ssh` that leads to it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.leftovers import wait_until

#: Not those of the engine that is there already.
ADDRESSES = "base=10.231.0.0/16,size=24"
SSH = """\
#!/bin/sh
# Stands in for another machine: takes what ssh takes, and runs the command here.
echo "$@" >>"$0.log"
while [ "$1" != -- ]; do shift; done
case $2 in *denied) echo "$2: Permission denied (publickey)." >&2; exit 255 ;; esac
shift 2
DOCKER_HOST=unix://{socket} exec "$@"
"""


def why_none() -> str:
    """Why there can be no second engine here; "" when there can."""
    if os.geteuid() != 0:
        return "only root can start an engine"
    return (
        "" if any(map(os.path.exists, ("/usr/sbin/dockerd", "/usr/bin/dockerd"))) else "no dockerd"
    )


@dataclass
class Engine:
    """A second engine, with all that it has in `folder`.

    It has network interfaces and mounts of its own: an engine that starts puts those of its machine
    in order, and would take away what belongs to the other one.
    """

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return self.folder / "engine.sock"

    def start(self) -> None:
        """Returns when it answers."""
        arguments: list[str | Path] = [
            *("dockerd", "-H", f"unix://{self.socket}", "--bridge=none", "--iptables=false"),
            *("--data-root", self.folder / "data", "--exec-root", self.folder / "exec"),
            *("--pidfile", self.folder / "pid", "--default-address-pool", ADDRESSES),
        ]
        alone = ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*alone, *arguments], stdout=log, stderr=log)
        wait_until(lambda: _answers(self.socket), (self.folder / "log").read_text, patience=60)

    def stop(self) -> None:
        """Its containers end with it."""
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=60)

    def inside(self, *command: str) -> list[str]:
        """A command with its network interfaces and for this engine."""
        assert self.process is not None
        there = ["nsenter", "--net", "--target", str(self.process.pid)]
        return [*there, "env", f"DOCKER_HOST=unix://{self.socket}", *command]


@contextmanager
def own_engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="pipe-engine-", ignore_cleanup_errors=True) as name:
        engine = Engine(Path(name))
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()


@contextmanager
def second_engine() -> Iterator[Path]:
    """The socket of one."""
    with own_engine() as engine:
        yield engine.socket


def _answers(socket: Path) -> bool:
    asked = subprocess.run(
        ["docker", "-H", f"unix://{socket}", "version"], capture_output=True, check=False
    )
    return asked.returncode == 0


def put_ssh(folder: Path, socket: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make `ssh` of this process lead to that engine; returns the file with its calls."""
    folder.mkdir(exist_ok=True)
    program = folder / "ssh"
    program.write_text(SSH.replace("{socket}", str(socket)))
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program.with_name("ssh.log")
