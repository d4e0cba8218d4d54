"""A second Docker engine on this machine, and an `ssh` that leads to it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def second_engine() -> Iterator[Path]:
    """Its socket.

    It has network interfaces and mounts of its own: an engine that starts puts those of its machine
    in order, and would take away what belongs to the other one.
    """
    with tempfile.TemporaryDirectory(prefix="pipe-engine-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        socket = folder / "engine.sock"
        arguments: list[str | Path] = [
            *("unshare", "--net", "--mount"),
            *("dockerd", "-H", f"unix://{socket}", "--bridge=none", "--iptables=false"),
            *("--data-root", folder / "data", "--exec-root", folder / "exec"),
            *("--pidfile", folder / "pid", "--default-address-pool", ADDRESSES),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            wait_until(lambda: _answers(socket), (folder / "log").read_text, patience=60)
            yield socket
        finally:
            process.terminate()
            process.wait(timeout=60)


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
