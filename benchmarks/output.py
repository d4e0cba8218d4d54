"""A step that prints a gigabyte, masked and kept in the log, against `docker run > file`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.sandbox import DEBIAN, Ended, Sandbox

BOUND = Bound(1.2)
PEAK = Bound(150, of="ours")
#: Of 8 MB each, so that making them costs nothing beside printing them.
BLOCKS = 125
BLOCK_BYTES = 8_000_000
RUNS = 2

LINE = "step %.0f of the build: compiled src/module.c without warnings"
MASKS = ("hunter2-hunter2", "correct horse battery staple", "0123456789abcdef0123456789abcdef")
SECRETS = [f"--secret=SECRET_{number}={mask}" for number, mask in enumerate(MASKS)]


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """The whole command, with and without the output on the terminal, and its memory."""
    printing = _printing(blocks := effort.sized(BLOCKS))
    project = sandbox.project("output", pipelines.one_job([printing], DEBIAN))
    sandbox.pipe_run(sandbox.project("warm", pipelines.one_job([_printing(1)], DEBIAN)))
    quiet, plain, baseline = [], [], []
    for _ in range(effort.pairs(RUNS)):
        quiet.append(_ours(sandbox, project, "quiet", blocks))
        baseline.append(_baseline(sandbox, printing, blocks))
        plain.append(_ours(sandbox, project, "plain", blocks))
    for mode, ours in (("quiet", quiet), ("plain", plain)):
        pairs = tuple(Pair(a.seconds, b) for a, b in zip(ours, baseline, strict=True))
        yield Figure(f"output, {mode}", "s", pairs, "docker run --rm IMAGE ... > file", BOUND)
        peaks = tuple(Pair(each.peak_bytes / 1e6) for each in ours)
        yield Figure(f"output, {mode}, memory", "MB", peaks, bound=PEAK)


def _printing(blocks: int) -> str:
    make = f"seq -f '{LINE}' 200000 | head -c {BLOCK_BYTES} > /tmp/block"
    return f"{make}; for i in $(seq {blocks}); do cat /tmp/block; done"


def _ours(sandbox: Sandbox, project: Path, mode: str, blocks: int) -> Ended:
    with Path("/dev/null").open("wb") as nowhere:
        run = sandbox.pipe_run(project, *SECRETS, f"--progress={mode}", to=nowhere)
    logs = sandbox.home / "logs"
    _expect(sum(file.stat().st_size for file in logs.rglob("*") if file.is_file()), blocks)
    shutil.rmtree(logs)
    return run


def _baseline(sandbox: Sandbox, printing: str, blocks: int) -> float:
    target = sandbox.folder / "printed"
    with target.open("wb") as file:
        seconds = sandbox.docker_run(DEBIAN, "sh", "-c", printing, to=file).seconds
    _expect(target.stat().st_size, blocks)
    target.unlink()
    return seconds


def _expect(found: int, blocks: int) -> None:
    if found < blocks * BLOCK_BYTES:
        raise RuntimeError(f"only {found} bytes of output were kept")
