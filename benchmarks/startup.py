"""The shortest command, against Python doing nothing."""

import sys
from collections.abc import Iterator

from benchmarks.effort import Effort
from benchmarks.figures import Figure, take_pairs
from benchmarks.sandbox import PIPE, Sandbox

RUNS = 15


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """For information: there is no bound."""
    pairs = take_pairs(
        lambda: sandbox.run(PIPE, "--help").seconds * 1000,
        lambda: sandbox.run(sys.executable, "-c", "pass").seconds * 1000,
        effort.pairs(RUNS),
    )
    yield Figure("startup, pipe --help", "ms", pairs, "python -c pass")
