"""The second run in an unchanged git tree of many files, against `git status`."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair
from benchmarks.sandbox import Sandbox

BOUND = Bound(3)
FILES = 50_000
PER_FOLDER = 100
RUNS = 9


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """The snapshot alone, and how much longer a run takes than in a project of one file."""
    small = sandbox.project("small", pipelines.one_job([":"]))
    large = sandbox.project("large", pipelines.one_job([":"]))
    _fill(large, effort.sized(FILES))
    sandbox.commit(large)
    _difference(sandbox, large, small), _snapshot(sandbox, large), _status(sandbox, large)
    snapshots, runs = [], []
    for _ in range(effort.pairs(RUNS)):
        status = _status(sandbox, large)
        snapshots.append(Pair(_snapshot(sandbox, large), status))
        runs.append(Pair(_difference(sandbox, large, small), status))
    yield Figure("workspace, snapshot", "ms", tuple(snapshots), "git status", BOUND)
    yield Figure("workspace, whole run", "ms", tuple(runs), "git status", BOUND)


def _fill(project: Path, files: int) -> None:
    for number in range(files):
        folder = project / f"folder{number // PER_FOLDER}"
        if number % PER_FOLDER == 0:
            folder.mkdir()
        (folder / f"file{number}.txt").write_text(f"line {number}\n" * 10)


def _snapshot(sandbox: Sandbox, project: Path) -> float:
    from runner.project import find_project, take_snapshot

    found = find_project(project / "pipeline.yaml")
    start = perf_counter()
    with take_snapshot(found, sandbox.home, sandbox.home):
        return (perf_counter() - start) * 1000


def _difference(sandbox: Sandbox, large: Path, small: Path) -> float:
    return (sandbox.pipe_run(large).seconds - sandbox.pipe_run(small).seconds) * 1000


def _status(sandbox: Sandbox, project: Path) -> float:
    return sandbox.run("git", "status", "--porcelain", cwd=project).seconds * 1000
