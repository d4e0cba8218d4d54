"""A Redis server for tests: of their own, in a temporary folder, ended with them."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.checked import free_port


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[int]:
    """Its port; tests are skipped where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed (tests/machine/redis installs it)")
    port = free_port()
    fixed = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([program, *fixed, *options], stdout=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("the Redis server does not start")
