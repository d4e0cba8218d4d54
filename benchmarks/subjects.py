"""What can be measured: a module for each, whose `measure` yields its figures."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from time import perf_counter

from benchmarks.effort import Effort
from benchmarks.figures import Figure
from benchmarks.sandbox import open_sandbox

NAMES = (
    "step",
    "one-job",
    "hundred-jobs",
    "output",
    "parse",
    "plan",
    "first-output",
    "workspace",
    "artifacts",
    "startup",
    "actions",
    "watch",
    "queue",
    "workers",
    "deploy",
)


def measure(names: Sequence[str], effort: Effort) -> Iterator[tuple[str, list[Figure]]]:
    """Each subject with its figures, or with none when it failed: then it says why.

    Each has a process of its own, since what a process starts never has a smaller peak of memory
    than the process itself had.
    """
    for name in names:
        start = perf_counter()
        figures: list[Figure] = []
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                figures = pool.submit(_measure_one, name, effort).result()
            except Exception:
                # One subject that breaks must not cost the figures of the others.
                traceback.print_exc()
        print(f"{name}: {perf_counter() - start:.0f} s", file=sys.stderr)
        yield name, figures


def _measure_one(name: str, effort: Effort) -> list[Figure]:
    module = import_module(f"benchmarks.{name.replace('-', '_')}")
    with open_sandbox() as sandbox:
        return list(module.measure(sandbox, effort))
