"""Processes that carry a mark in their environment, and the guard that ends them for a dead runner.

A child may leave its parent, its group and its session; its environment stays. The module imports
only the standard library, because the guard is this file run as a program.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: The variables that say which box and which step a process belongs to.
BOX = "PIPE_BOX"
STEP = "PIPE_STEP"
#: Seconds until processes that survive SIGKILL (in the kernel, for a dead disk) are given up.
PATIENCE = 5.0

PROCESSES = Path("/proc")


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


def start_guard(name: str, value: str) -> "subprocess.Popen[bytes]":
    """A process that ends all that carry the mark when its input ends, by whatever death of ours."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, name, value],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # Nothing of ours: a runner inside another runner's step carries that one's marks.
        env={"PATH": os.defpath},
        start_new_session=True,
    )


def _from_proc(entry: bytes) -> Iterator[int]:
    for folder in os.listdir(PROCESSES):  # noqa: PTH208 - hundreds of them, several times a job
        if folder.isdecimal():
            with contextlib.suppress(OSError), open(f"{PROCESSES}/{folder}/environ", "rb") as file:  # noqa: PTH123
                if entry in file.read().split(b"\0"):
                    yield int(folder)


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
    sys.stdin.buffer.read()
    end_marked(sys.argv[1], sys.argv[2])
