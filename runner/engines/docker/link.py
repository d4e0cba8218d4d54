"""The line to a box's supervisor: commands go out, replies come in, a word list a line."""

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from runner.engines.box import BOX_LOST, EngineError
from runner.engines.docker.stream import BLOCK, FrameParser, attach, connection

if TYPE_CHECKING:
    from docker import APIClient


class BoxGoneError(EngineError):
    """The box ended although nobody asked it to."""

    def __init__(self) -> None:
        super().__init__(
            BOX_LOST,
            "the job's container ended in the middle of the job",
            hint="was it removed or killed from outside, or was the engine stopped?",
        )


class Link:
    """Attached to the supervisor before it starts, so that no byte of it can be missed."""

    def __init__(self, api: "APIClient", container: str) -> None:
        self._response = attach(api, container)
        self._socket, early = connection(self._response)
        self._frames = FrameParser()
        self._text = b"".join(self._frames.feed(early))
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, *words: str) -> None:
        """Send one command. Raises BoxGoneError when nobody listens any more."""
        try:
            with self._sending:
                self._socket.sendall(" ".join(words).encode() + b"\n")
        except OSError as error:
            raise BoxGoneError from error

    def receive(self) -> list[list[str]]:
        """Wait for something to arrive and give the replies that are complete.

        Raises BoxGoneError at the end of the stream.
        """
        try:
            data = self._socket.recv(BLOCK)
        except OSError as error:
            raise BoxGoneError from error
        if not data:
            raise BoxGoneError
        *lines, self._text = b"".join([self._text, *self._frames.feed(data)]).split(b"\n")
        return [line.decode(errors="replace").split() for line in lines]

    def close(self) -> None:
        """End the supervisor's input, which ends the box."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def abandon(self) -> None:
        """End the supervisor's input without waiting for anything."""
        self.close()
        self._response.close()

    def await_end(self, timeout: float) -> None:
        """Wait until the supervisor's output has ended too: by then no process of the box lives."""
        self._socket.settimeout(timeout)
        with contextlib.suppress(OSError):
            while self._socket.recv(BLOCK):
                pass
        self._response.close()
