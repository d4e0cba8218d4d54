"""Artifacts of one large file and of many small ones: up into the store, and down again."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.events import read_events
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.sandbox import DEBIAN, Sandbox

MEGABYTES = 1000
FILES = 10_000
RUNS = 3
PEAK = Bound(150, of="ours")
#: The numbers of the steps that are measured.
WAYS = {"up": 2, "down": 4}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is stored: the script that makes it, and what storing it is held against."""

    name: str
    make: str
    bound: Bound
    against: str
    baseline: Callable[[Sandbox, Path, str], float]


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """The time of the steps alone, and the memory of the whole command."""
    size, files = effort.sized(MEGABYTES), effort.sized(FILES)
    large = f"head -c {size}000000 /dev/urandom > out/large"
    small = f"for i in $(seq {files}); do echo line $i > out/file$i; done"
    yield from _figures(sandbox, effort, Kind("large", large, Bound(2), "cp, then sync", _copy))
    yield from _figures(sandbox, effort, Kind("small", small, Bound(1), "tar, then sync", _tar))


def _figures(sandbox: Sandbox, effort: Effort, kind: Kind) -> Iterator[Figure]:
    project = sandbox.project(f"artifacts-{kind.name}", pipelines.one_job(_steps(kind), DEBIAN))
    source = sandbox.folder / f"source-{kind.name}"
    source.mkdir()
    sandbox.run("bash", "-c", f"mkdir out; {kind.make}", cwd=source)
    pairs: dict[str, list[Pair]] = {way: [] for way in WAYS}
    peaks = []
    for _ in range(effort.pairs(RUNS)):
        run = sandbox.pipe_run(project, "--json")
        for way, number in WAYS.items():
            ours = _took(run.output, number)
            pairs[way].append(Pair(ours, kind.baseline(sandbox, source, way)))
        peaks.append(Pair(run.peak_bytes / 1e6))
        shutil.rmtree(sandbox.home / "blobs")
    for way, taken in pairs.items():
        name = f"artifacts, {kind.name}, {way}"
        yield Figure(name, "s", tuple(taken), kind.against, kind.bound)
    yield Figure(f"artifacts, {kind.name}, memory", "MB", tuple(peaks), bound=PEAK)


def _steps(kind: Kind) -> list[str | dict[str, object]]:
    return [
        f"mkdir out && {kind.make}; sync",
        {"uses": "actions/upload-artifact@v4", "with": {"name": "it", "path": "out"}},
        "rm -r out; sync",
        {"uses": "actions/download-artifact@v4", "with": {"name": "it", "path": "got"}},
    ]


def _took(output: bytes, number: int) -> float:
    moments: list[float] = [
        event["time"] for event in read_events(output) if event.get("step") == number
    ]
    return max(moments) - min(moments)


def _copy(sandbox: Sandbox, source: Path, way: str) -> float:  # noqa: ARG001 - one shape for both
    try:
        return sandbox.run("sh", "-c", "cp out/large copy && sync copy", cwd=source).seconds
    finally:
        (source / "copy").unlink()


def _tar(sandbox: Sandbox, source: Path, way: str) -> float:
    scripts = {
        "up": "tar cf copy out && sync copy",
        "down": "mkdir got && tar xf copy -C got; sync -f got",
    }
    try:
        return sandbox.run("sh", "-c", scripts[way], cwd=source).seconds
    finally:
        if way == "down":
            shutil.rmtree(source / "got")
