"""What makes pipelines run again: which files count, when a burst is over, what was touched."""

import queue
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runner.errors import EnvironmentMissingError
from runner.model import Pipeline
from runner.parse import parse
from runner.project import all_ignored, find_project, find_root
from runner.source import load
from runner.triggers import FileWatch, Pending, Source, Wanted, is_in, parts_of, wanted
from runner.triggers.files import explained

JOBS = "jobs: {a: {runs-on: x, steps: [{run: make}]}}\n"
SECONDS = 20


def pipeline(on: str, jobs: str = JOBS) -> Pipeline:
    return parse(load(f"on: {on}\n{jobs}", "ci.yaml"))


# -- which files count

PATTERNS: list[tuple[str, str, bool]] = [
    # Without patterns, all.
    ("push", "a/b", True),
    ("{watch: {debounce: 1s}}", "a/b", True),
    ("{watch: {types: started}, push: {paths: [src/**]}}", "docs/a", False),
    # Those of `watch`: a folder stands for what is in it.
    ("{watch: {paths: src}}", "src", True),
    ("{watch: {paths: src}}", "src/a/b.c", True),
    ("{watch: {paths: ./src/}}", "src/a", True),
    ("{watch: {paths: src}}", "src2/a", False),
    ("{watch: {paths: src}}", "lib/src/a", False),
    ("{watch: {paths: '.'}}", "any/thing", True),
    ("{watch: {paths: ['**.py', '!tests']}}", "a/b.py", True),
    ("{watch: {paths: ['**.py', '!tests']}}", "tests/b.py", False),
    ("{watch: {paths: 'src/*/gen'}}", "src/x/gen/deep/file", True),
    # `ignore` takes away, alone or from `paths`.
    ("{watch: {ignore: docs}}", "docs/a.md", False),
    ("{watch: {ignore: docs}}", "a", True),
    ("{watch: {ignore: '**/*.log'}}", "x/y.log", False),
    ("{watch: {paths: src, ignore: ['src/*.log', '!src/keep.log']}}", "src/a.log", False),
    ("{watch: {paths: src, ignore: ['src/*.log', '!src/keep.log']}}", "src/keep.log", True),
    ("{watch: {paths: src}, push: {paths: [docs/**]}}", "docs/a", False),
    # Those of `push` are exactly GitHub's.
    ("{push: {paths: [src/**]}}", "src/a", True),
    ("{push: {paths: [src]}}", "src/a", False),
    ("{push: {paths: src/**}}", "docs/a", False),
    ("{push: {paths-ignore: ['**.md']}}", "docs/a.md", False),
    ("{push: {paths-ignore: ['**.md']}}", "docs/a.rst", True),
]


@pytest.mark.parametrize(("on", "path", "counts"), PATTERNS)
def test_which_files_count(on: str, path: str, counts: bool) -> None:
    assert wanted(pipeline(on)).counts(path) is counts


@pytest.mark.parametrize(("written", "seconds"), [("250ms", 0.25), ("1m", 60.0), ("0s", 0.0)])
def test_how_long_to_wait_for_more(written: str, seconds: float) -> None:
    assert wanted(pipeline(f"{{watch: {{debounce: {written}}}}}")).debounce == seconds
    assert 0 < wanted(pipeline("push")).debounce < 0.05


def test_what_a_pipeline_is_made_of(tmp_path: Path) -> None:
    steps = (
        "{uses: ./actions/one}, {uses: ./}, {uses: actions/checkout@v4},"
        " {uses: $/actions/two}, {uses: ../outside}, {run: make},"
        " {parallel: [{uses: ./actions/three/}]}"
    )
    jobs = f"jobs: {{a: {{runs-on: x, steps: [{steps}]}}}}\n"
    parts = parts_of(pipeline("push", jobs), find_project(tmp_path))
    made = {"ci.yaml", "actions/one", "actions/two", "actions/three"}
    assert parts == made | {"pipe.yaml", "pipelines/pipe.yaml", "plugins"}
    assert is_in("actions/one/action.yml", parts)
    assert is_in("ci.yaml", parts)
    assert not is_in("actions/oneself/action.yml", parts)


def test_settings_of_a_project_in_a_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    inner = tmp_path / "apps" / "web"
    write(inner, {"pipe.yaml": ""})
    assert "apps/web/pipe.yaml" in parts_of(pipeline("push"), find_project(inner))
    assert find_root(inner) == tmp_path
    write(inner, {"pipe.yaml": "what: is this"})
    assert find_root(inner) == tmp_path


# -- when a burst is over


def test_changes_wait_until_there_are_no_more() -> None:
    pending = Pending()
    assert pending.next_due(0) is None
    pending.add("a", ["x"], due=5)
    pending.add("b", ["x"], due=9)
    assert (pending.is_due("a", 4), pending.next_due(4)) == (False, 5)
    pending.add("a", ["y", "x"], due=7)
    assert (pending.is_due("a", 6), pending.is_due("a", 7)) == (False, True)
    assert pending.next_due(7) == 9
    assert pending.take("a") == ("x", "y")
    assert not pending.is_due("a", 100)
    assert not pending.is_due("c", 100)


# -- what changed


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(params=["git", "plain"])
def source(request: pytest.FixtureRequest, tmp_path: Path, pipe_home: Path) -> Iterator[Source]:
    root = tmp_path / "project"
    ignores = ".gitignore" if request.param == "git" else ".pipeignore"
    write(root, {"ci.yaml": "", "a": "a", "sub/b": "b", ignores: "out/\n*.log\n"})
    if request.param == "git":
        git(root, "init", "-q")
    pipe_home.mkdir()
    source = Source(root, [root / "ci.yaml"], pipe_home, pipe_home)
    assert source.look(()) == ()
    yield source
    source.close()


def touched(source: Source, *names: str) -> tuple[str, ...]:
    return source.look([source.root / name for name in names])


def test_what_changed(source: Source) -> None:
    write(source.root, {"a": "b", "new/file": "n"})
    (source.root / "sub" / "b").unlink()
    # Without git, a folder that becomes empty is part of the source.
    assert set(touched(source, "a")) - {"sub"} == {"a", "new/file", "sub/b"}
    assert touched(source, "a") == ()
    (source.root / "a").chmod(0o755)
    assert touched(source, "a") == ("a",)


def test_a_file_that_is_written_as_it_was_has_not_changed(source: Source) -> None:
    write(source.root, {"a": "a"})
    assert touched(source, "a") == ()


def test_what_is_ignored_is_not_even_looked_at(source: Source) -> None:
    seen = source.snapshot
    write(source.root, {"out/x": "x", "sub/y.log": "y"})
    assert touched(source, "out/x", "sub/y.log") == ()
    assert source.look([source.root.parent / "elsewhere"]) == ()
    assert source.snapshot is seen


def test_a_pipeline_that_is_ignored_counts(source: Source) -> None:
    write(source.root, {"mine.log": "on: push"})
    mine = Source(source.root, [source.root / "mine.log"], source._home, source._home)
    mine.look(())
    assert touched(mine, "mine.log") == ("mine.log",)
    assert touched(mine, "other.log") == ()
    mine.close()


def test_a_folder_that_git_ignores_whole(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "out/\n!*.keep\n", "odd\n-name.log": ""})
    git(tmp_path, "init", "-q")
    assert all_ignored(tmp_path, ["out/a", "out/b.keep"])
    assert not all_ignored(tmp_path, ["out/a", "src/b"])
    assert not all_ignored(tmp_path, ["odd\n-name.log"])


# -- what is touched


class Told:
    """All that a watch told, in order."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[frozenset[Path] | Exception] = queue.SimpleQueue()

    def next(self) -> frozenset[Path]:
        told = self.queue.get(timeout=SECONDS)
        assert isinstance(told, frozenset)
        return told

    def until(self, path: Path) -> set[Path]:
        """All paths up to the one that is waited for."""
        found: set[Path] = set()
        while path not in found:
            found |= self.next()
        return found


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """A watch over `tmp_path`, which has begun."""
    told = Told()
    watch = FileWatch([tmp_path], tmp_path / "home", told.queue.put, told.queue.put)
    assert told.next() == frozenset()
    yield told
    watch.close()


def test_files_that_are_touched_are_told(told: Told, tmp_path: Path) -> None:
    write(tmp_path, {"a": "1"})
    told.until(tmp_path / "a")
    write(tmp_path, {"new/deep/b": "1"})
    told.until(tmp_path / "new")
    write(tmp_path, {"a": "2"})
    told.until(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "c")
    assert tmp_path / "a" in told.until(tmp_path / "c")
    (tmp_path / "c").unlink()
    told.until(tmp_path / "c")


def test_what_git_and_pipe_keep_is_not_told(told: Told, tmp_path: Path) -> None:
    write(
        tmp_path, {".git/index": "", "sub/.git": "gitdir: x", "home/pipe.db": "", ".gitignore": ""}
    )
    write(tmp_path, {"last": ""})
    found = told.until(tmp_path / "last")
    assert {tmp_path / ".gitignore", tmp_path / "sub"} <= found | {tmp_path / "sub"}
    hidden = {".git", ".git/index", "sub/.git", "home", "home/pipe.db"}
    assert found & {tmp_path / name for name in hidden} == set()


def test_nothing_is_told_once_it_is_closed(tmp_path: Path) -> None:
    told = Told()
    watch = FileWatch([tmp_path], tmp_path / "home", told.queue.put, told.queue.put)
    told.next()
    watch.close()
    write(tmp_path, {"a": ""})
    assert told.queue.empty()


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError("OS file watch limit reached. about [...]"), "max_user_watches"),
        (OSError(28, "No space left on device"), "max_user_watches"),
        (RuntimeError("error in the underlying watcher"), ""),
    ],
)
def test_folders_that_cannot_be_watched(error: Exception, hint: str) -> None:
    found = explained(error)
    assert isinstance(found, EnvironmentMissingError)
    assert found.message.startswith("the folders cannot be watched: ")
    assert hint in found.hint


def test_an_error_of_ours_stays_what_it_is() -> None:
    assert isinstance(explained(KeyError("x")), KeyError)


def test_what_is_wanted_can_be_compared() -> None:
    assert wanted(pipeline("push")) == Wanted()
