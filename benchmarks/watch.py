"""How long after a file was saved the first line of the run for it is there, under `pipe watch`."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair, percentile
from benchmarks.sandbox import DEBIAN, PIPE, TIMEOUT, FailedError, Sandbox

BOUND = Bound(150, of="ours")
FILES = 1000
SAVES = 20
RUNS = 3
#: Seconds that a developer may look at the result, in which a box for the next run opens.
PAUSE = 0.6
RESTS = b"Ctrl-C ends\n"


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """A file of many is saved, and a step prints it; against a container that is started for that."""
    project = sandbox.project("watched", pipelines.one_job(["cat saved.txt"], DEBIAN))
    for number in range(effort.sized(FILES)):
        (project / f"file{number}.txt").write_text(f"line {number}\n")
    (project / "saved.txt").write_text("first\n")
    sandbox.commit(project)
    delays = [_delays(sandbox, project) for _ in range(effort.pairs(RUNS))]
    started = [_docker(sandbox, project) for _ in delays]
    for percent in (50, 95):
        pairs = tuple(
            Pair(percentile(ours, percent), percentile(theirs, percent))
            for ours, theirs in zip(delays, started, strict=True)
        )
        bound = BOUND if percent == 95 else None
        yield Figure(f"watch, p{percent}", "ms", pairs, "docker run IMAGE cat", bound)


def _delays(sandbox: Sandbox, project: Path) -> list[float]:
    """Milliseconds from each save until its content was printed."""
    with _watching(sandbox, project) as output:
        _read_until(output, RESTS)
        return [_save(project, output, number) for number in range(SAVES)]


def _save(project: Path, output: int, number: int) -> float:
    time.sleep(PAUSE)
    text = f"save {number} at {time.time()}\n"
    start = time.perf_counter()
    (project / "saved.txt").write_text(text)
    rest = _read_until(output, text.encode())
    delay = (time.perf_counter() - start) * 1000
    if RESTS not in rest:
        _read_until(output, RESTS)
    return delay


@contextmanager
def _watching(sandbox: Sandbox, project: Path) -> Iterator[int]:
    ours, theirs = os.pipe()
    command = (PIPE, "watch", "pipeline.yaml", "--progress=plain")
    process = subprocess.Popen(command, cwd=project, env=sandbox.env, stdout=theirs)
    os.close(theirs)
    try:
        yield ours
        process.terminate()
        process.wait(TIMEOUT)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    sandbox.await_removal()


def _read_until(output: int, wanted: bytes) -> bytes:
    """What follows the text that was waited for, as far as it was read."""
    text = b""
    while wanted not in text:
        block = os.read(output, 1 << 16)
        if not block:
            raise FailedError(f"`pipe watch` ended:\n{text.decode(errors='replace')}")
        text += block
    return text.partition(wanted)[2]


def _docker(sandbox: Sandbox, project: Path) -> list[float]:
    mount = f"{project}:/project:ro"
    command = ("--volume", mount, DEBIAN, "cat", "/project/saved.txt")
    return [sandbox.docker_run(*command).seconds * 1000 for _ in range(SAVES)]
