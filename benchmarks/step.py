"""What one more step costs, against one `docker exec`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import mean

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.events import read_events, times
from benchmarks.figures import Bound, Figure, take_pairs
from benchmarks.sandbox import BUSYBOX, Sandbox

BOUND = Bound(1 / 10, goal=1 / 16)

STEPS = 200
CALLS = 20
RUNS = 5


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """The mean time of a step, and of a `docker exec` into a container that runs anyway."""
    steps = effort.sized(STEPS)
    project = sandbox.project("steps", pipelines.one_job([":"] * steps))
    started = sandbox.docker_run("--detach", BUSYBOX, "sleep", "3600")
    container = started.output.decode().strip()
    pairs = take_pairs(
        partial(_step, sandbox, project, steps),
        partial(_exec, sandbox, container),
        effort.pairs(RUNS),
    )
    yield Figure("step", "ms", pairs, "docker exec CONTAINER true", BOUND)


def _step(sandbox: Sandbox, project: Path, steps: int) -> float:
    """From the end of the first step to the end of the last: the job's own start is not in it."""
    events = read_events(sandbox.pipe_run(project, "--json").output)
    ends = times([event for event in events if event.get("step", 0) > 0], "StepFinished")
    if len(ends) != steps:
        raise RuntimeError(f"{len(ends)} of {steps} steps ended")
    return (ends[-1] - ends[0]) / (steps - 1) * 1000


def _exec(sandbox: Sandbox, container: str) -> float:
    command = ("docker", "exec", container, "true")
    return mean(sandbox.run(*command).seconds for _ in range(CALLS)) * 1000
