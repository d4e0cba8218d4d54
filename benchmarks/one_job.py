"""A pipeline of one job with one step, as a whole command, against `docker run`."""

from collections.abc import Iterator

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, take_pairs
from benchmarks.sandbox import BUSYBOX, Sandbox

BOUND = Bound(2.5, goal=1.9)
RUNS = 11


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """From the command line to the prompt, in a git project, with a text that was checked before."""
    project = sandbox.project("one", pipelines.one_job([":"]))
    pairs = take_pairs(
        lambda: sandbox.pipe_run(project).seconds,
        lambda: sandbox.docker_run(BUSYBOX, "true").seconds,
        effort.pairs(RUNS),
    )
    yield Figure("one-job", "s", pairs, "docker run --rm IMAGE true", BOUND)
