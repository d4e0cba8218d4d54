"""Planning a run of a thousand jobs; there is nothing to compare it with."""

from collections.abc import Iterator
from time import perf_counter

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.sandbox import Sandbox

BOUND = Bound(1000, of="ours")
JOBS = 1_000
RUNS = 7


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:  # noqa: ARG001 - one shape for all
    """In this process, from a parsed pipeline to its plan."""
    from runner.parse import parse
    from runner.plan import plan
    from runner.source import load

    jobs = effort.sized(JOBS)
    pipeline = parse(load(pipelines.many_jobs(jobs), "jobs.yaml"))

    def once() -> Pair:
        start = perf_counter()
        planned = plan(pipeline, {"github": {}, "inputs": {}, "vars": {}})
        milliseconds = (perf_counter() - start) * 1000
        if len(planned.jobs) != jobs:
            raise RuntimeError(f"{len(planned.jobs)} of {jobs} jobs were planned")
        return Pair(milliseconds)

    once()
    yield Figure("plan", "ms", tuple(once() for _ in range(effort.pairs(RUNS))), bound=BOUND)
