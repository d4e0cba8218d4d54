"""What switches are tried with: two versions of a small application, in containers or processes."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

from runner.delivery.call import Call, Nowhere
from runner.plugin import Instance, Switch
from runner.testing import delivery_call
from tests.leftovers import wait_until

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


@dataclass(frozen=True)
class App:
    """An application of a name that nothing else has, and calls for it."""

    folder: Path
    name: str
    printed: list[str]

    def call(self, **changes: object) -> Call:
        settings = {"application": self.name, **changes}
        return delivery_call(self.folder, Nowhere(self.printed.append), **settings)


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


def drained(switch: Switch, call: Callable[[], Call], instance: Instance) -> bool:
    """Whether the switch says that no request is left at the instance."""
    return (switch.traffic(call(), [instance]) or {})[instance.name].in_flight == 0
