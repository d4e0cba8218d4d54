"""Connections that end at a deadline, however slowly the other side talks."""

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipe_checks.deadlines import BLINK, Deadline, within
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from ssl import SSLContext

#: What is read of an answer: those of applications are of any length.
LIMIT = 64 * 1024


class Wire:
    """An open connection. Every use of it raises OSError when it is over, and so TimeoutError.

    `deadline` may be moved for the next answer on the same connection.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self.socket = sock
        self.deadline = deadline

    def send(self, data: bytes) -> None:
        self.socket.settimeout(self.deadline.left())
        self.socket.sendall(data)

    def receive(self, size: int = LIMIT) -> bytes:
        """Up to so many bytes; none at the end."""
        while True:
            self.socket.settimeout(min(self.deadline.left(), BLINK))
            try:
                return self.socket.recv(size)
            except TimeoutError:
                continue

    def reader(self) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self))

    def is_quiet(self) -> bool:
        """Whether it can be used again: nothing came on it, not even its end."""
        import select

        return not select.select([self.socket], [], [], 0)[0]

    def close(self) -> None:
        self.socket.close()


class _Reading(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._wire.receive(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def wire(
    host: str, port: int, deadline: Deadline, tls: "SSLContext | None" = None, name: str = ""
) -> Iterator[Wire]:
    """A connection that is closed in the end; see `connect`."""
    opened = connect(host, port, deadline, tls, name)
    try:
        yield opened
    finally:
        opened.close()


def connect(
    host: str, port: int, deadline: Deadline, tls: "SSLContext | None" = None, name: str = ""
) -> Wire:
    """Open a connection; with TLS the other side is taken for `name`, or `host`.

    Raises OSError, and DeliveryError when the host is not known.
    """
    error: OSError = OSError("it has no address")
    for family, address in _addresses(host, port, deadline):
        try:
            return _secured(_connect(family, address, deadline), deadline, tls, name or host)
        except OSError as found:
            error = found
    raise error


def connect_unix(path: str, deadline: Deadline) -> Wire:
    """Open a connection to a socket that is a file of this machine. Raises OSError."""
    return Wire(_connect(socket.AF_UNIX, path, deadline), deadline)


def _addresses(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    def ask(flags: int = 0) -> list[tuple[int, Any]]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        return [(family, address) for family, _, _, _, address in found]

    with suppress(socket.gaierror, UnicodeError):
        return ask(socket.AI_NUMERICHOST)
    try:
        return within(deadline, ask)
    except (socket.gaierror, UnicodeError):
        raise DeliveryError(f"there is no host `{host}`") from None


def _connect(family: int, address: Any, deadline: Deadline) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(deadline.left())
        sock.connect(address)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _secured(sock: socket.socket, deadline: Deadline, tls: "SSLContext | None", name: str) -> Wire:
    if tls is None:
        return Wire(sock, deadline)
    try:
        sock.settimeout(deadline.left())
        return Wire(tls.wrap_socket(sock, server_hostname=name), deadline)
    except BaseException:
        sock.close()
        raise


def trouble(error: Exception) -> str:
    """What is wrong with a connection, in words."""
    import ssl

    match error:
        case TimeoutError():
            return "it did not answer in time"
        case ConnectionRefusedError():
            return "nothing listens there"
        case ConnectionResetError() | BrokenPipeError():
            return "it cut the connection"
        case ssl.SSLCertVerificationError(verify_message=reason):
            return f"its certificate is not trusted: {reason}"
        case ssl.SSLError(reason=reason):
            return f"no TLS is spoken there ({str(reason or error).replace('_', ' ').lower()})"
        case OSError(strerror=str(reason)):
            return f"it cannot be reached: {reason.lower()}"
    return str(error) or type(error).__name__
