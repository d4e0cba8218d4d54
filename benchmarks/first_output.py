"""How long what a step prints is on its way to the terminal."""

import errno
import os
import pty
import re
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair, percentile
from benchmarks.sandbox import DEBIAN, PIPE, TIMEOUT, Sandbox

BOUND = Bound(50, of="ours")
LINES = 50
#: A live view draws only so often, and leaves out lines that are gone again by then.
FEWEST = 40
#: A step's clock is the same as ours; bash reads it without a process of its own.
PRINTING = f'for i in $(seq {LINES}); do echo "at $EPOCHREALTIME"; sleep 0.037; done; sleep 0.5'
RUNS = 3

_STAMP = re.compile(rb"at (\d{10}\.\d{6})")
#: A stamp may come in two parts; it is shorter than this.
_OVERLAP = 32


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """Lines that say when they were printed: to a pipe, and to a terminal with the live view."""
    project = sandbox.project("printing", pipelines.one_job([PRINTING], DEBIAN))
    run = (PIPE, "run", "pipeline.yaml")
    watch = partial(_delays, sandbox, project)
    watch(os.pipe(), *run, "--progress=plain")
    delays = [
        _Delays(
            plain=watch(os.pipe(), *run, "--progress=plain"),
            docker=watch(os.pipe(), *sandbox.docker_command(DEBIAN, "bash", "-c", PRINTING)),
            live=watch(_terminal(), *run, "--progress=live"),
        )
        for _ in range(effort.pairs(RUNS))
    ]
    for view in ("plain", "live"):
        for percent in (50, 95):
            pairs = tuple(each.pair(view, percent) for each in delays)
            bound = BOUND if percent == 95 else None
            yield Figure(f"first-output, {view}, p{percent}", "ms", pairs, "docker run", bound)


@dataclass(frozen=True, slots=True)
class _Delays:
    """For each way to the terminal, the milliseconds that each line took."""

    plain: list[float]
    docker: list[float]
    live: list[float]

    def pair(self, view: str, percent: float) -> Pair:
        ours = self.plain if view == "plain" else self.live
        return Pair(percentile(ours, percent), percentile(self.docker, percent))


def _terminal() -> tuple[int, int]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    return ours, theirs


def _delays(sandbox: Sandbox, project: Path, ends: tuple[int, int], *command: str) -> list[float]:
    """Milliseconds from each line's printing until it can be read from the other end."""
    ours, theirs = ends
    env = {**sandbox.env, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, cwd=project, env=env, stdout=theirs, stdin=subprocess.DEVNULL
    )
    os.close(theirs)
    try:
        delays = list(_arrivals(ours))
        process.wait(TIMEOUT)
    finally:
        process.kill()
        os.close(ours)
    sandbox.await_removal()
    if len(delays) < FEWEST:
        raise RuntimeError(f"{len(delays)} of {LINES} lines arrived from `{' '.join(command)}`")
    return delays


def _arrivals(end: int) -> Iterator[float]:
    seen: set[bytes] = set()
    rest = b""
    while chunk := _read(end):
        now = time.time()
        text = rest + chunk
        for stamp in _STAMP.findall(text):
            if stamp not in seen:
                seen.add(stamp)
                yield (now - float(stamp)) * 1000
        rest = text[-_OVERLAP:]


def _read(end: int) -> bytes:
    try:
        return os.read(end, 1 << 16)
    except OSError as error:
        # What Linux says of a terminal that nobody has open any more.
        if error.errno == errno.EIO:
            return b""
        raise
