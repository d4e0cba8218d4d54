"""As much of PostgreSQL's protocol as the service needs, so that its image needs no package."""

import socket
from collections.abc import Iterator
from typing import BinaryIO


def query(host: str, sql: str) -> list[str]:
    """The first column of what a query gives, as text."""
    with socket.create_connection((host, 5432), timeout=5) as link, link.makefile("rwb") as wire:
        _send(wire, b"", b"\0\3\0\0user\0people\0database\0people\0\0")
        list(_answers(wire))
        _send(wire, b"Q", sql.encode() + b"\0")
        return [body[6:].decode() for kind, body in _answers(wire) if kind == b"D"]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def _send(wire: BinaryIO, kind: bytes, body: bytes) -> None:
    wire.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
    wire.flush()


def _answers(wire: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Until the server is ready for the next one."""
    while kind := wire.read(1):
        body = wire.read(int.from_bytes(wire.read(4), "big") - 4)
        if kind == b"E":
            raise RuntimeError(body.replace(b"\0", b" ").decode())
        if kind == b"Z":
            return
        yield kind, body
    raise RuntimeError("the server hung up")
