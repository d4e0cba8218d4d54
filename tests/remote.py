"""Another machine for tests: a container with systemd and sshd, which the system's `ssh` reaches."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.delivery.call import Nowhere
from runner.delivery.machines import machine
from runner.plugin import Machine
from tests.leftovers import wait_until

IMAGE = "pipe-test/machine:1"
#: systemd wants control groups of its own, which this kernel has in one way or the other.
_BOOT = """\
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mount -o remount,rw /sys/fs/cgroup
else mount -t tmpfs none /sys/fs/cgroup; fi
exec /lib/systemd/systemd
"""
_RIGHTS = ("--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--cgroupns=private")
#: A program of that name before the real one, whose configuration is that of a test.
_SSH = """\
#!/bin/sh
exec {ssh} -F {folder}/config "$@"
"""
_CONFIG = """\
IdentityFile {folder}/key
IdentitiesOnly yes
UserKnownHostsFile {folder}/known
StrictHostKeyChecking accept-new
"""


@dataclass(frozen=True)
class Remote:
    """A machine that runs; `folder` has what `ssh` needs, and `ports` are free on both sides."""

    id: str
    port: int
    ports: tuple[int, ...]
    folder: Path

    @property
    def url(self) -> str:
        return f"ssh://root@127.0.0.1:{self.port}"

    @property
    def label(self) -> str:
        return f"127-0-0-1-{self.port}"

    def sh(self, script: str, *arguments: str) -> str:
        """What a script prints that runs there, without ssh."""
        return docker("exec", self.id, "sh", "-euc", script, "sh", *arguments)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It does not answer, and does not say so."""
        docker("pause", self.id)
        try:
            yield
        finally:
            docker("unpause", self.id)

    def cut(self) -> None:
        """End all connections to it."""
        self.sh("pkill -f '^sshd: root' || true")


@dataclass(frozen=True)
class Around(Nowhere):
    """Surroundings in which a call reaches machines, and has a folder as its workspace."""

    control: Path
    workspace: Path | None = None
    allow_local: bool = True

    def machine(self, name: str) -> Machine:
        return machine(name, allow_local=self.allow_local, control=self.control)

    def log(self, text: str) -> None:
        """Nobody reads it."""

    def pack(self, path: str) -> Iterator[bytes]:
        if self.workspace is None:
            return super().pack(path)
        folder = self.workspace / path
        names = (
            ["-C", str(folder), "."] if folder.is_dir() else ["-C", str(folder.parent), folder.name]
        )
        packed = subprocess.run(["tar", "-c", *names], capture_output=True, check=True)
        return iter([packed.stdout])


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {argv[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def remote(folder: Path, *options: str) -> Iterator[Remote]:
    """A machine that answers; `options` are more ones of `docker run`."""
    if not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        pytest.skip("ssh is not installed (tests/machine/ssh installs it)")
    folder.mkdir(exist_ok=True)
    ports = free_ports(3)
    published = [f"--publish=127.0.0.1:{ports[0]}:22"]
    published += [f"--publish=127.0.0.1:{port}:{port}" for port in ports[1:]]
    apparmor = "--security-opt=apparmor=unconfined"
    id_ = docker(
        *("run", "--detach", "--rm", "--env=container=docker", "--tmpfs=/run", *_RIGHTS),
        *(apparmor, "--tmpfs=/small:size=2m", *published, *options, IMAGE, "sh", "-c", _BOOT),
    )
    try:
        made = Remote(id_, ports[0], tuple(ports[1:]), folder)
        _let_in(made)
        wait_until(lambda: _answers(made), lambda: docker("logs", id_), 60.0)
        yield made
    finally:
        docker("rm", "--force", id_)


def _let_in(made: Remote) -> None:
    key = made.folder / "key"
    if not key.exists():
        _keygen("-t", "ed25519", "-f", str(key))
        (made.folder / "config").write_text(_CONFIG.format(folder=made.folder))
        program = made.folder / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(_SSH.format(ssh=shutil.which("ssh"), folder=made.folder))
        program.chmod(0o755)
    public = key.with_suffix(".pub").read_text()
    made.sh('mkdir -pm 700 /root/.ssh; echo "$1" >/root/.ssh/authorized_keys', public)


def _keygen(*argv: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "", *argv], check=True, capture_output=True)


def _answers(made: Remote) -> bool:
    way = [str(made.folder / "bin" / "ssh"), "-p", str(made.port), "root@127.0.0.1"]
    done = subprocess.run(
        [*way, "systemctl is-system-running"],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip() in (b"running", b"degraded")


def free_ports(count: int) -> Sequence[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for each in with_sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()
