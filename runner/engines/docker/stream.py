"""Docker's multiplexed streams: eight bytes of header (stream number, length), then the payload."""

import socket
import struct
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, cast

HEADER = struct.Struct(">BxxxI")
BLOCK = 1 << 20
ERRORS = 2
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


class FrameParser:
    """Takes bytes cut anywhere, gives whole payloads."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are complete with `data`."""
        self._pending += data
        while len(self._pending) >= HEADER.size:
            _, length = HEADER.unpack_from(self._pending)
            end = HEADER.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[HEADER.size : end])
            del self._pending[:end]
            yield payload


def start_exec(api: Any, execution: str, *, tty: bool) -> Any:
    """Start an exec that was created; gives the response whose `body` is its stream."""
    response = api._post_json(
        api._url("/exec/{0}/start", execution), headers=UPGRADE, data={"Tty": tty}, stream=True
    )
    api._raise_for_status(response)
    return response


def attach(api: Any, container: str, *, stdin: bool = True) -> Any:
    """Attach to a container's main process; gives the response whose `body` is its stream."""
    params = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
    url = api._url("/containers/{0}/attach", container)
    response = api._post(url, headers=UPGRADE, params=params, stream=True)
    api._raise_for_status(response)
    return response


def connection(response: Any) -> tuple[socket.socket, bytes]:
    """The socket of a response, to write to as well, and the bytes that came with its headers.

    Nothing may have been read of it yet. It is closed together with the response.
    """
    reader = body(response)
    found = cast(socket.socket, response.raw._fp.fp.raw._sock)
    found.setblocking(False)
    early = reader.peek()
    found.setblocking(True)
    return found, early


def body(response: Any) -> BufferedReader:
    """The reader that parsed the response's headers.

    The SDK hands out the socket underneath it, and loses what arrived in the same packet as the
    headers (docker-py#3332); this reader still has those bytes.
    """
    return cast(BufferedReader, response.raw._fp.fp)


def payloads(response: Any) -> Iterator[bytes]:
    """Payloads until the stream ends, as they arrive; a large one comes in several parts.

    The response is held meanwhile: it closes its reader when nobody does.
    """
    for _, part in frames(response):
        yield part


def frames(response: Any) -> Iterator[tuple[int, bytes]]:
    """As `payloads`, each with the number of its stream."""
    reader = body(response)
    while len(header := reader.read(HEADER.size)) == HEADER.size:
        number, left = HEADER.unpack(header)
        while left:
            part = reader.read1(min(left, BLOCK))
            if not part:
                return
            left -= len(part)
            yield number, part
