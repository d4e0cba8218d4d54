"""Artifacts of one large file and of many small ones: up into the store, and down again."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

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

#: Seconds that a way takes without us.
Baseline = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is stored: the script that makes it in `out`, and what storing it is held against."""

    name: str
    make: str
    bound: Bound
    against: str


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """The time of the steps alone, and the memory of the whole command."""
    size, files = effort.sized(MEGABYTES), effort.sized(FILES)
    large = f"mkdir out && head -c {size}000000 /dev/urandom > out/large"
    small = f"mkdir out && for i in $(seq {files}); do echo line $i > out/file$i; done"
    kind = Kind("large", large, Bound(2), "cp FILE COPY && sync COPY")
    yield from _figures(sandbox, effort, kind, _copying(sandbox, kind))
    kind = Kind("small", small, Bound(1), "docker exec CONTAINER tar, and a file")
    yield from _figures(sandbox, effort, kind, _packing(sandbox, kind))


def _figures(sandbox: Sandbox, effort: Effort, kind: Kind, baseline: Baseline) -> Iterator[Figure]:
    project = sandbox.project(f"artifacts-{kind.name}", pipelines.one_job(_steps(kind), DEBIAN))
    pairs: dict[str, list[Pair]] = {way: [] for way in WAYS}
    peaks = []
    for _ in range(effort.pairs(RUNS)):
        run = sandbox.pipe_run(project, "--json")
        for way, number in WAYS.items():
            pairs[way].append(Pair(_took(run.output, number), baseline(way)))
        peaks.append(Pair(run.peak_bytes / 1e6))
        shutil.rmtree(sandbox.home / "blobs")
    for way, taken in pairs.items():
        name = f"artifacts, {kind.name}, {way}"
        yield Figure(name, "s", tuple(taken), kind.against, kind.bound)
    yield Figure(f"artifacts, {kind.name}, memory", "MB", tuple(peaks), bound=PEAK)


def _steps(kind: Kind) -> list[str | dict[str, object]]:
    return [
        f"{kind.make}; sync",
        {"uses": "actions/upload-artifact@v4", "with": {"name": "it", "path": "out"}},
        "rm -r out; sync",
        {"uses": "actions/download-artifact@v4", "with": {"name": "it", "path": "got"}},
    ]


def _took(output: bytes, number: int) -> float:
    moments: list[float] = [
        event["time"] for event in read_events(output) if event.get("step") == number
    ]
    return max(moments) - min(moments)


def _copying(sandbox: Sandbox, kind: Kind) -> Baseline:
    """The same file on the same disk: there and back is the same."""
    source = sandbox.folder / "source"
    source.mkdir()
    sandbox.run("bash", "-c", kind.make, cwd=source)

    def copy(_: str) -> float:
        seconds = sandbox.run("sh", "-c", "cp out/large copy && sync copy", cwd=source).seconds
        (source / "copy").unlink()
        return seconds

    return copy


def _packing(sandbox: Sandbox, kind: Kind) -> Baseline:
    """The same files in a container, which a file on this machine gets and gives back."""
    started = sandbox.docker_run("--detach", DEBIAN, "sleep", "3600")
    container = started.output.decode().strip()
    execute = partial(sandbox.run, "docker", "exec", "-w", "/tmp", container, "bash", "-c")
    execute(kind.make)
    scripts = {
        "up": f"docker exec -w /tmp {container} tar c out > packed && sync packed",
        "down": f"docker exec -i -w /tmp/got {container} tar x < packed",
    }

    def pack(way: str) -> float:
        execute("rm -rf got && mkdir got && sync")
        return sandbox.run("sh", "-c", scripts[way]).seconds

    return pack
