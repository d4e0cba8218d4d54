"""Processes that carry a mark in their environment, and the guard that ends them for a dead runner.

A child may leave its parent, its group and its session; its environment stays. The module imports
only the standard library, because the guard is this file run as a program.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

#: The variables that say which box and which step a process belongs to.
BOX = "PIPE_BOX"
STEP = "PIPE_STEP"
#: Seconds until processes that survive SIGKILL (in the kernel, for a dead disk) are given up.
PATIENCE = 5.0

PROCESSES = Path("/proc")
#: Most environments need no second one.
_BLOCK = 1 << 16


def marked(name: str, value: str) -> list[int]:
    """Processes, except this one, whose environment has `name` with that value.

    Those whose environment this user may not read are not found.
    """
    found = _from_proc if (PROCESSES / "self" / "environ").exists() else _from_ps
    return [process for process in found(f"{name}={value}".encode()) if process != os.getpid()]


def send(process: int, number: int) -> None:
    """Send a signal; no error when the process has just ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def end_marked(name: str, value: str) -> None:
    """Kill them all, and those that they start meanwhile; returns when they are gone."""
    deadline = time.monotonic() + PATIENCE
    while (found := marked(name, value)) and time.monotonic() < deadline:
        for process in found:
            send(process, signal.SIGKILL)
        time.sleep(0.005)


class Guard:
    """A process that ends all that carry a mark being watched when this one dies, by whatever death.

    One is enough for all boxes, since it takes longer to start than many a job; the first mark
    starts it. Threads may share it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._watched: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, value: str) -> None:
        """Processes with this mark are not to outlive us."""
        with self._lock:
            self._watched.add(value)
            self._tell(f"+{value}\n")

    def forget(self, value: str) -> None:
        """There are none any more."""
        with self._lock:
            self._watched.discard(value)
            self._tell(f"-{value}\n")

    def close(self) -> None:
        """It ends; what is still watched is ended by it."""
        with self._lock:
            process, self._process = self._process, None
            if process:
                with process:
                    # It may not even have begun to listen.
                    if not self._watched:
                        process.kill()

    def _tell(self, line: str) -> None:
        try:
            self._write(line)
        except BrokenPipeError:
            # Somebody has killed it.
            assert self._process
            with self._process:
                self._process = None
            self._write("".join(f"+{value}\n" for value in self._watched))

    def _write(self, lines: str) -> None:
        if self._process is None:
            self._process = _start_guard(self._name)
        assert self._process.stdin
        self._process.stdin.write(lines.encode())


def _start_guard(name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, name],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # Nothing of ours: a runner inside another runner's step carries that one's marks.
        env={"PATH": os.defpath},
        start_new_session=True,
    )


def _guard(name: str) -> None:
    """What the guard does: hears of marks until its input ends, and ends those that are left."""
    watched: set[str] = set()
    for line in sys.stdin:
        change = watched.add if line[0] == "+" else watched.discard
        change(line[1:-1])
    for value in watched:
        end_marked(name, value)


def _from_proc(entry: bytes) -> Iterator[int]:
    # There are hundreds of them, and each job looks at all.
    top = bytes(PROCESSES)
    for folder in os.listdir(top):  # noqa: PTH208
        if not folder.isdigit():
            continue
        found = _environment(b"%b/%b/environ" % (top, folder))
        if entry in found and entry in found.split(b"\0"):
            yield int(folder)


def _environment(file: bytes) -> bytes:
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = b""
        while block := os.read(opened, _BLOCK):
            data += block
        return data
    except OSError:
        return b""
    finally:
        os.close(opened)


def _from_ps(entry: bytes) -> Iterator[int]:
    """Where there is no /proc; `e` shows the environment behind the command."""
    shown = subprocess.run(
        ["ps", "axeww", "-o", "pid=", "-o", "command="], stdout=subprocess.PIPE, check=False
    ).stdout
    for line in shown.splitlines():
        number, *words = line.split()
        if entry in words:
            yield int(number)


if __name__ == "__main__":
    _guard(sys.argv[1])
