"""A hundred independent jobs, four at a time, against as many `docker run`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.events import read_events, times
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.sandbox import BUSYBOX, Sandbox

BOUND = Bound(1.15)
JOBS = 100
PARALLEL = 4
WARM_UP = 4
RUNS = 2


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds from the first job's start: to the run's result, and until no container was left."""

    result: float
    removed: float


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """What Pipe does before its first job is not in the time; all that `xargs` does is."""
    jobs = effort.sized(JOBS)
    few = sandbox.project("few", _pipeline(WARM_UP))
    project = sandbox.project("many", _pipeline(jobs))
    _ours(sandbox, few, WARM_UP), _baseline(sandbox, WARM_UP)
    pairs = [
        (_ours(sandbox, project, jobs), _baseline(sandbox, jobs)) for _ in range(effort.pairs(RUNS))
    ]
    against = f"xargs -P{PARALLEL} docker run --rm"
    results = tuple(Pair(ours.result, baseline) for ours, baseline in pairs)
    yield Figure("hundred-jobs", "s", results, against, BOUND)
    removed = tuple(Pair(ours.removed, baseline) for ours, baseline in pairs)
    yield Figure("hundred-jobs, removed", "s", removed, against)


def _pipeline(jobs: int) -> str:
    return pipelines.one_job([":"], legs=jobs)


def _ours(sandbox: Sandbox, project: Path, jobs: int) -> _Run:
    options = ("--json", "--parallel", str(PARALLEL))
    events = read_events(sandbox.pipe_run(project, *options).output)
    removed = time.time()
    if (ended := len(times(events, "JobFinished"))) != jobs:
        raise RuntimeError(f"{ended} of {jobs} jobs ended")
    start, end = times(events, "JobStarted")[0], times(events, "RunFinished")[0]
    return _Run(end - start, removed - start)


def _baseline(sandbox: Sandbox, jobs: int) -> float:
    each = sandbox.docker_command(BUSYBOX, "true")
    numbers = "\n".join(str(number) for number in range(jobs)).encode()
    command = ("xargs", f"-P{PARALLEL}", "-I{}", *each)
    return sandbox.run(*command, stdin=numbers).seconds
