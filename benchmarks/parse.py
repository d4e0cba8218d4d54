"""Reading, parsing and linting a long pipeline, against PyYAML's fastest composer."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, take_pairs
from benchmarks.sandbox import Sandbox

BOUND = Bound(10)
LINES = 10_000
RUNS = 7


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """In this process, with all modules loaded."""
    file = sandbox.folder / "long.yaml"
    file.write_text(pipelines.long(effort.sized(LINES)))
    pairs = take_pairs(lambda: _ours(file), lambda: _baseline(file), effort.pairs(RUNS))
    yield Figure("parse", "ms", pairs, "yaml.compose(text, CSafeLoader)", BOUND)


def _ours(file: Path) -> float:
    from runner.lint import lint
    from runner.parse import parse
    from runner.source import read

    start = perf_counter()
    document = read(file)
    problems = lint(parse(document), document)
    milliseconds = (perf_counter() - start) * 1000
    if problems:
        raise RuntimeError(f"the pipeline is not valid: {problems[0].message}")
    return milliseconds


def _baseline(file: Path) -> float:
    import yaml

    start = perf_counter()
    yaml.compose(file.read_text(), yaml.CSafeLoader)
    return (perf_counter() - start) * 1000
