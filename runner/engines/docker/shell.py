"""An interactive shell in a box: the user's terminal, joined to a terminal inside."""

import contextlib
import os
import selectors
import shutil
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from runner.engines.docker.stream import connection, start_exec

if TYPE_CHECKING:
    from docker import APIClient

BLOCK = 1 << 16
#: What a terminal takes for the end of its input. It is said again and again: a shell that is just
#: changing the terminal's mode misses it, and would wait for ever.
END_OF_INPUT = b"\x04"
#: Seconds between looks at the size of the terminal; a signal would need the main thread.
LOOK = 0.5


def interact(api: "APIClient", container: str, command: Sequence[str]) -> int:
    """Run `command` in the container on this process' terminal; returns its exit code."""
    execution = api.exec_create(container, list(command), stdin=True, tty=True)["Id"]
    response = start_exec(api, execution, tty=True)  # its socket lives as long as it does
    stream, early = connection(response)
    with _raw_terminal():
        os.write(sys.stdout.fileno(), early)
        _join(stream, lambda size: api.exec_resize(execution, size.lines, size.columns))
    response.close()
    return int(api.exec_inspect(execution)["ExitCode"] or 0)


def _join(stream: socket.socket, resize: Callable[[os.terminal_size], object]) -> None:
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    size = os.terminal_size((0, 0))
    ended = False
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        selector.register(keyboard, selectors.EVENT_READ)
        while True:
            if shutil.get_terminal_size() != size:
                size = shutil.get_terminal_size()
                resize(size)
            ready = selector.select(LOOK)
            if ended and not ready:
                stream.sendall(END_OF_INPUT)
            for key, _ in ready:
                if key.fd == keyboard:
                    typed = os.read(keyboard, BLOCK)
                    if not typed:
                        selector.unregister(keyboard)
                        ended = True
                    stream.sendall(typed or END_OF_INPUT)
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
