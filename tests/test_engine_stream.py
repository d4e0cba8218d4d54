"""Docker's framed streams: bytes cut anywhere, and an engine that answers in one packet."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engines.docker.link import BoxGoneError, Link
from runner.engines.docker.stream import (
    HEADER,
    FrameParser,
    attach,
    connection,
    payloads,
    start_exec,
)

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
#: What an engine answers that does not know how to upgrade.
STREAMED = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"


def frame(payload: bytes, stream: int = 1) -> bytes:
    return HEADER.pack(stream, len(payload)) + payload


# -- cutting


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(min_value=1, max_value=50)),
)
def test_frames_are_found_however_they_are_cut(
    frames: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    parser = FrameParser()
    found: list[bytes] = []
    data = b"".join(frame(payload, stream) for stream, payload in frames)
    for size in [*sizes, len(data)]:
        found += parser.feed(data[:size])
        data = data[size:]
    assert found == [payload for _, payload in frames]


def test_a_frame_that_is_not_whole_is_awaited() -> None:
    parser, data = FrameParser(), frame(b"ab")
    assert [list(parser.feed(data[i : i + 1])) for i in range(len(data))] == [
        *([[]] * (len(data) - 1)),
        [b"ab"],
    ]


# -- an engine whose first bytes come together with its headers


@dataclass
class Engine:
    """Speaks as much HTTP as is needed: every POST gets `answer` in one packet, and then the
    connection ends, or echoes what comes in frames."""

    path: Path
    answer: bytes
    echoes: bool = False
    requests: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with closing(connection):
                if not (request := _request(connection)):
                    return
                self.requests.append(request)
                connection.sendall(self.answer)
                while self.echoes and (data := connection.recv(1 << 16)):
                    connection.sendall(frame(data))

    def close(self) -> None:
        with closing(socket.socket(socket.AF_UNIX)) as last:
            last.connect(str(self.path))
        self._thread.join()
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    """One request with its body; empty when the connection ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += (more := connection.recv(1 << 16))
        if not more:
            return b""
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line[15:])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(rest) < length:
        rest += connection.recv(1 << 16)
    return data


@dataclass
class Fake:
    """Starts such engines, with a real client for each."""

    folder: Path
    opened: list[Any] = field(default_factory=list)

    def __call__(self, answer: bytes, *, echoes: bool = False) -> Any:
        import docker

        engine = Engine(self.folder / f"{len(self.opened)}.sock", answer, echoes)
        client = docker.APIClient(f"unix://{engine.path}", version="1.41")
        self.opened += [client, engine]
        return client

    @property
    def requests(self) -> list[bytes]:
        return [
            each for engine in self.opened if isinstance(engine, Engine) for each in engine.requests
        ]


@pytest.fixture
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake(tmp_path_factory.mktemp("s"))
    yield fake
    for each in fake.opened:
        each.close()


FIRST = [b"first", b"", b"second\n", bytes(range(256)) * 300]


@pytest.mark.parametrize("head", [UPGRADED, STREAMED])
def test_no_byte_is_lost_that_comes_with_the_headers(fake: Fake, head: bytes) -> None:
    api = fake(head + b"".join(frame(payload) for payload in FIRST))
    response = start_exec(api, "abc", tty=False)
    assert b"".join(payloads(response)) == b"".join(FIRST)
    response.close()
    [request] = fake.requests
    assert request.startswith(b"POST /v1.41/exec/abc/start ")


def test_a_terminals_bytes_come_without_frames(fake: Fake) -> None:
    response = start_exec(fake(UPGRADED + b"$ hello"), "abc", tty=True)
    stream, early = connection(response)
    assert early + stream.recv(100) == b"$ hello"
    response.close()


@pytest.mark.parametrize("missing", [1, 7, 8, 10])
def test_a_stream_that_breaks_off_ends(fake: Fake, missing: int) -> None:
    data = frame(b"whole") + frame(b"broken")
    response = start_exec(fake(UPGRADED + data[: len(data) - missing]), "abc", tty=False)
    found = b"".join(payloads(response))
    response.close()
    assert found == b"whole" + b"broken"[: max(0, 6 - missing)]


def test_a_refusal_is_an_error(fake: Fake) -> None:
    from docker.errors import APIError

    answer = b'HTTP/1.1 409 Conflict\r\nContent-Length: 22\r\n\r\n{"message":"no, sorry"}'
    with pytest.raises(APIError, match="409"):
        start_exec(fake(answer), "abc", tty=False)
    with pytest.raises(APIError, match="409"):
        attach(fake(answer), "abc")


def test_a_link_hears_what_comes_with_the_headers(fake: Fake) -> None:
    first = frame(b"\nready - x86") + frame(b"_64 sh\n\nt exit ")
    link = Link(fake(UPGRADED + first, echoes=True), "abc")
    link.send("0")
    replies: list[list[str]] = []
    while ["t", "exit", "0"] not in replies:
        replies += [reply for reply in link.receive() if reply]
    assert replies == [["ready", "-", "x86_64", "sh"], ["t", "exit", "0"]]
    link.close()
    link.await_end(5)


def test_a_link_speaks_and_hears(fake: Fake) -> None:
    link = Link(fake(UPGRADED, echoes=True), "abc")
    link.send("run", "folder", "token")
    assert link.receive() == [["run", "folder", "token"]]
    link.send("kill", "INT")
    link.send("done")
    heard: list[list[str]] = []
    while len(heard) < 2:
        heard += link.receive()
    assert heard == [["kill", "INT"], ["done"]]
    link.close()
    link.await_end(5)
    with pytest.raises(BoxGoneError):
        link.send("more")
