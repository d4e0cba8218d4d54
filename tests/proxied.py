"""What switches are tried with: two versions of a small application, in containers or processes."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.request import urlopen
from uuid import uuid4

from runner.delivery.call import Call, Nowhere
from runner.plugin import Ended, Instance, Machine, PluginSwitch, Switch
from runner.testing import delivery_call
from runner.testing.switches import Ground, switch_holds
from tests.leftovers import wait_until
from tests.load import Kind, Plan

BACKEND = Path(__file__).with_name("backend.py")
IMAGE = "pipe-test/debian:12"
COLOURS = ("blue", "green")
PORT = 8000


def docker(*arguments: str) -> str:
    """What the command line of the engine prints; raises with what it complains of."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(address: str, path: str = "/") -> str:
    with urlopen(f"http://{address}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def answers(address: str) -> bool:
    with suppress(OSError):
        return bool(get(address))
    return False


class Local:
    """This machine."""

    name = "local"

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | Iterator[bytes] = b"",  # noqa: A002 - as in `subprocess.run`
        within: float = 30.0,
        output: BinaryIO | None = None,
    ) -> Ended:
        assert output is None
        given = input if isinstance(input, bytes) else b"".join(input)
        done = subprocess.run(argv, input=given, capture_output=True, timeout=within, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    def read_file(self, path: str) -> bytes | None:
        return Path(path).read_bytes() if Path(path).exists() else None

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        Path(path).write_bytes(data)

    def unpack(self, path: str, blocks: Iterator[bytes]) -> None:
        raise NotImplementedError


class Here(Nowhere):
    """No job, but a machine."""

    def machine(self, name: str) -> Machine:
        return Local() if name == "local" else super().machine(name)


@dataclass(frozen=True)
class App:
    """An application of a name that nothing else has, and calls for it."""

    folder: Path
    name: str
    printed: list[str]

    def call(self, **changes: object) -> Call:
        settings = {"application": self.name, **changes}
        return delivery_call(self.folder, Here(self.printed.append), **settings)


def new_app(folder: Path) -> App:
    return App(folder, f"shop{uuid4().hex[:8]}", [])


@dataclass(frozen=True)
class Containers:
    """Blue and green in containers, on the network that a managed proxy is on."""

    app: App

    @property
    def network(self) -> str:
        return f"pipe-{self.app.name}-test"

    @property
    def proxy(self) -> str:
        return f"{self.app.name}-test-proxy"

    @property
    def instances(self) -> tuple[Instance, ...]:
        return tuple(self.instance(colour) for colour in COLOURS)

    def instance(self, colour: str) -> Instance:
        return Instance(f"{colour}-1", colour, inside=f"{self.container(colour)}:{PORT}")

    def container(self, colour: str) -> str:
        return f"{self.app.name}-test-{colour}-1"

    def start(self, colour: str) -> None:
        program = ["python3", "/backend.py", str(PORT), colour]
        name, mount = self.container(colour), f"{BACKEND}:/backend.py:ro"
        where = ["--network", self.network, "-v", mount]
        docker("run", "-d", "--init", "--name", name, *where, IMAGE, *program)

    def restart(self, colour: str) -> None:
        """Another process, as abruptly as it goes."""
        docker("restart", "-t", "0", self.container(colour))

    def stop(self, colour: str) -> None:
        docker("stop", "-t", "0", self.container(colour))

    def remove(self) -> None:
        for name in (self.proxy, *map(self.container, COLOURS)):
            docker("rm", "-f", name)
        with suppress(RuntimeError):
            docker("network", "rm", self.network)


@contextmanager
def in_containers(app: App) -> Iterator[Containers]:
    containers = Containers(app)
    docker("network", "create", containers.network)
    try:
        for colour in COLOURS:
            containers.start(colour)
        yield containers
    finally:
        containers.remove()


@dataclass
class Processes:
    """Blue and green as processes of this machine, each at a port of its own."""

    ports: dict[str, int]
    running: dict[str, subprocess.Popen[bytes]]

    @property
    def instances(self) -> tuple[Instance, ...]:
        return tuple(self.instance(colour) for colour in COLOURS)

    def instance(self, colour: str) -> Instance:
        return Instance(f"{colour}-1", colour, address=f"127.0.0.1:{self.ports[colour]}")

    def start(self, colour: str) -> None:
        """Returns when it answers."""
        port = self.ports[colour]
        self.running[colour] = subprocess.Popen([sys.executable, BACKEND, str(port), colour])
        wait_until(lambda: answers(f"127.0.0.1:{port}"), f"{colour} does not answer")

    def stop(self, colour: str) -> None:
        self.running[colour].kill()
        self.running[colour].wait()

    def restart(self, colour: str) -> None:
        self.stop(colour)
        self.start(colour)


@contextmanager
def in_processes() -> Iterator[Processes]:
    processes = Processes({colour: free_port() for colour in COLOURS}, {})
    try:
        for colour in COLOURS:
            processes.start(colour)
        yield processes
    finally:
        for colour in processes.running:
            processes.stop(colour)


@dataclass(frozen=True)
class Scene:
    """A switch, what is behind it, and where clients come in."""

    plugin: PluginSwitch
    app: App
    settings: Mapping[str, Any]
    address: str
    backends: Containers | Processes

    @property
    def switch(self) -> Switch:
        return self.plugin.open(self.settings)

    @property
    def instances(self) -> tuple[Instance, ...]:
        return self.backends.instances

    @property
    def containers(self) -> Containers:
        assert isinstance(self.backends, Containers)
        return self.backends

    def apply(self, **weights: int) -> Mapping[str, int]:
        named = {f"{colour}-1": weight for colour, weight in weights.items()}
        return self.switch.apply(self.app.call(), self.instances, named)

    def observe(self) -> Mapping[str, int]:
        return self.switch.observe(self.app.call())

    def conforms(self) -> None:
        blue, green = self.instances
        switch_holds(Ground(self.plugin, self.settings, self.app.call, blue, green, self.address))

    def plan(self, rate: float, kinds: Sequence[Kind]) -> Plan:
        host, _, port = self.address.rpartition(":")
        return Plan(host, int(port), rate, kinds)


@contextmanager
def managed(plugin: PluginSwitch, folder: Path, **settings: Any) -> Iterator[Scene]:
    """A switch that runs its proxy itself, with two instances on its network."""
    address = f"127.0.0.1:{free_port()}"
    app = new_app(folder)
    with in_containers(app) as backends:
        yield Scene(plugin, app, {"listen": address, **settings}, address, backends)


@contextmanager
def own_proxy(image: str, mounts: Sequence[Path], command: Sequence[str]) -> Iterator[str]:
    """A proxy that Pipe did not make, on this machine's network; gives the container's name."""
    name = f"proxy-{uuid4().hex[:8]}"
    binds = [word for path in mounts for word in ("-v", f"{path}:{path}")]
    docker("run", "-d", "--name", name, "--network", "host", *binds, image, *command)
    try:
        yield name
    finally:
        docker("rm", "-f", name)


@contextmanager
def short_folder() -> Iterator[Path]:
    """For sockets, whose paths may not be long."""
    folder = Path("/tmp") / f"pipe-{uuid4().hex[:8]}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
