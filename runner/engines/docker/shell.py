"""An interactive shell in a box: the user's terminal, joined to a terminal inside."""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runner.engines.docker.stream import connection, start_exec

if TYPE_CHECKING:
    from docker import APIClient

BLOCK = 1 << 16


def interact(api: "APIClient", container: str, command: Sequence[str]) -> int:
    """Run `command` in the container on this process' terminal; returns its exit code."""
    execution = api.exec_create(container, list(command), stdin=True, tty=True)["Id"]
    stream = connection(start_exec(api, execution, tty=True))
    with _raw_terminal(), _window_size(api, execution):
        _join(stream)
    return int(api.exec_inspect(execution)["ExitCode"] or 0)


def _join(stream: socket.socket) -> None:
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        selector.register(keyboard, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == keyboard:
                    typed = os.read(keyboard, BLOCK)
                    if not typed:
                        selector.unregister(keyboard)
                    stream.sendall(typed)
                else:
                    shown = stream.recv(BLOCK)
                    if not shown:
                        return
                    os.write(screen, shown)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _window_size(api: "APIClient", execution: str) -> Iterator[None]:
    def resize(*_: object) -> None:
        size = shutil.get_terminal_size()
        api.exec_resize(execution, height=size.lines, width=size.columns)

    before = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
