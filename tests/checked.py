"""Real things to check: HTTP servers of every mood, sockets that hang, this machine."""

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from typing import Any, BinaryIO

from runner.delivery.call import Nowhere
from runner.plugin import DeliveryError, Ended, Machine, PluginCheck
from runner.plugins import load_installed


@cache
def checks() -> tuple[PluginCheck, ...]:
    """All that are installed."""
    return tuple(each for plugin in load_installed() for each in plugin.brought.get("checks", ()))


def check(name: str) -> PluginCheck:
    return next(each for each in checks() if each.name == name)


@dataclass(frozen=True)
class Reply:
    """What a server answers to a path."""

    body: bytes = b"ok"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Site(ThreadingHTTPServer):
    """Answers paths with replies, and remembers what it was asked: (method, path, headers, body)."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, replies: Mapping[str, Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = dict(replies)
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.connections = 0
        self.pace = 0.0

    @property
    def address(self) -> str:
        return f"http://{self.inner}"

    @property
    def inner(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away."""


class _Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        reply = self.server.replies.get(self.path, Reply(b"nothing here", 404))
        if self.server.pace:
            threading.Event().wait(self.server.pace)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_HEAD = answer  # noqa: N815 - the server's own names

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@contextmanager
def site(replies: Mapping[str, Reply], tls: SSLContext | None = None) -> Iterator[Site]:
    server = Site(replies)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def saying(*parts: bytes, pause: float = 0.0, end: bool = True) -> Iterator[str]:
    """`host:port` that sends this to everybody, slowly if so asked, and then ends or hangs."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(0.05)
        threads = [threading.Thread(target=_accept, args=(listener, parts, pause, end, over))]
        threads[0].start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            threads[0].join()


def _accept(
    listener: socket.socket, parts: Sequence[bytes], pause: float, end: bool, over: threading.Event
) -> None:
    kept: list[socket.socket] = []
    while not over.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(5)
        threading.Thread(target=_say, args=(connection, parts, pause, end, over)).start()
        kept.append(connection)
    for connection in kept:
        connection.close()


def _say(
    connection: socket.socket,
    parts: Sequence[bytes],
    pause: float,
    end: bool,
    over: threading.Event,
) -> None:
    try:
        for part in parts:
            connection.sendall(part)
            if pause and over.wait(pause):
                return
        if end:
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        return


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class ThisMachine:
    """Runs programs right here, in a folder."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
        import os

        data = input if isinstance(input, bytes) else b"".join(input)
        try:
            done = subprocess.run(
                argv,
                env={"PATH": os.environ["PATH"], **(env or {})},
                input=data,
                capture_output=True,
                timeout=within,
                check=False,
                cwd=self.folder,
            )
        except subprocess.TimeoutExpired:
            raise DeliveryError(f"`{argv[0]}` took more than {within:.1f} s") from None
        return Ended(done.returncode, done.stdout, done.stderr)

    def read_file(self, path: str) -> bytes | None:
        file = self.folder / path
        return file.read_bytes() if file.exists() else None

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        raise AssertionError("a check writes nothing")

    def unpack(self, path: str, blocks: Iterator[bytes]) -> None:
        raise AssertionError("a check writes nothing")


class Here(Nowhere):
    """Surroundings of a check outside of a job, which may use this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._machine: Machine = ThisMachine(folder)

    def machine(self, name: str) -> Machine:
        return self._machine if name == "local" else super().machine(name)
