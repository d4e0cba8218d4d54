"""Snapshots of queued runs: they outlive who took them, and open on other machines."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.errors import EnvironmentMissingError
from runner.project import (
    Snapshot,
    find_project,
    keep_snapshot,
    open_snapshot,
    open_variant,
    prune_snapshots,
    take_snapshot,
    unpin_snapshot,
)
from runner.project import objects as kept_objects
from runner.project.kept import UNCLAIMED
from runner.project.shelf import Shelf
from tests.test_snapshot import box, commit, fingerprint_of_text, git, killed_at_the_end, write


@dataclass(frozen=True, slots=True)
class Machine:
    """One of several machines: a home of its own, and where it finds the storage of all."""

    home: Path
    storage: Path

    def take(self, project: Path) -> Snapshot:
        return take_snapshot(find_project(project), self.home, self.storage)

    def submit(self, project: Path, *, portable: bool = True) -> dict[str, Any]:
        """What is written down about a run that is queued, when its submitter has gone."""
        with keep_snapshot(self.take(project), portable=portable) as kept:
            written: dict[str, Any] = json.loads(json.dumps(kept.to_json()))
        return written

    def open(self, data: dict[str, Any]) -> Snapshot:
        return open_snapshot(data, self.storage)


@pytest.fixture
def here(tmp_path: Path, pipe_home: Path) -> Machine:
    return Machine(pipe_home, tmp_path / "storage")


@pytest.fixture
def there(tmp_path: Path, here: Machine) -> Machine:
    """Another machine, which mounts the same storage somewhere else."""
    here.storage.mkdir()
    (tmp_path / "mounted").symlink_to(here.storage)
    return Machine(tmp_path / "there", tmp_path / "mounted")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    write(folder, {"a.txt": "a\n", "sub/b.txt": "b\n"})
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "first")
    return folder


@pytest.fixture(params=["links", "copies"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Objects on the same disk as the storage are linked, those on another one are copied."""
    if request.param == "copies":
        monkeypatch.setattr(kept_objects, "_link", lambda _source, _target: False)
    return str(request.param)


def shelf_of(machine: Machine) -> Path:
    [shelf] = (machine.storage / "snapshots").iterdir()
    return shelf


def object_files(machine: Machine) -> set[str]:
    folder = shelf_of(machine) / "objects"
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def push_out(machine: Machine, repo: Path) -> None:
    """Take so many others that what is not needed is not among the newest any more."""
    for text in "1234":
        (repo / "a.txt").write_text(text)
        commit(repo)
        unpin_snapshot(machine.submit(repo), machine.storage)
    machine.take(repo).release()


# --- what is kept


@pytest.mark.usefixtures("way")
def test_a_checkout_may_go_when_its_run_is_queued(
    repo: Path, here: Machine, there: Machine, tmp_path: Path
) -> None:
    (repo / "a.txt").write_text("staged\n")
    git(repo, "add", "a.txt")
    (repo / "new.txt").write_text("new\n")
    data = here.submit(repo)
    status = git(repo, "status", "--porcelain")
    shutil.rmtree(repo)
    with there.open(data) as opened:
        assert fingerprint_of_text(opened.tree)["new.txt"] == "new\n"
        inside = box(opened, tmp_path / "box")
        assert git(inside, "status", "--porcelain") == status
        assert git(inside, "show", ":a.txt") == "staged\n"
        assert git(inside, "log", "--format=%s") == "first\n"
        git(inside, "fsck", "--no-dangling")
        assert (open_variant(opened) / "new.txt").read_text() == "new\n"


def test_nothing_in_it_names_the_submitter(repo: Path, here: Machine, there: Machine) -> None:
    data = here.submit(repo)
    assert not any(str(each).startswith("/") for each in (data["tree"], *data["objects"]))
    with there.open(data) as opened:
        assert opened.tree.is_relative_to(there.storage)
        assert all(folder.is_relative_to(there.storage) for folder in opened.objects)


def test_links_cost_no_bytes_and_leave_the_checkout_as_it_was(repo: Path, here: Machine) -> None:
    def seen() -> dict[str, tuple[int, float, int]]:
        files = (path for path in (repo / ".git").rglob("*") if path.is_file())
        return {
            str(path): (s.st_ino, s.st_mtime, s.st_mode) for path in files for s in [path.stat()]
        }

    here.take(repo).release()
    before = seen()
    here.submit(repo, portable=False)
    assert seen() == before
    folder = shelf_of(here) / "objects"
    inodes = {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    assert inodes <= {inode for inode, _, _ in before.values()}


def test_where_links_are_impossible_only_a_portable_one_takes_copies(
    repo: Path, here: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept_objects, "_link", lambda _source, _target: False)
    data = here.submit(repo, portable=False)
    assert data["objects"] == [str(repo / ".git" / "objects")]
    with here.open(data) as opened:
        assert git(box(opened, tmp_path / "box"), "log", "--format=%s") == "first\n"
    shutil.rmtree(repo)
    with pytest.raises(EnvironmentMissingError, match="objects of this run are gone"):
        here.open(data)


def test_what_was_brought_once_is_not_brought_again(
    repo: Path, here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.submit(repo)
    brought: list[Path] = []

    def link(source: Path, target: Path) -> bool:
        brought.append(source)
        os.link(source, target)
        return True

    monkeypatch.setattr(kept_objects, "_link", link)
    (repo / "untracked.txt").write_text("u")
    here.submit(repo)
    assert brought == []
    (repo / "a.txt").write_text("second")
    commit(repo)
    here.submit(repo)
    assert len(brought) >= 3


def _packed(repo: Path) -> Path:
    git(repo, "gc", "-q")
    return repo


def _shallow(repo: Path) -> Path:
    write(repo, {"a.txt": "second\n"})
    commit(repo, "second")
    git(repo.parent, "clone", "-q", "--depth=1", repo.as_uri(), "clone")
    return repo.parent / "clone"


def _partial(repo: Path) -> Path:
    write(repo, {"a.txt": "second\n"})
    commit(repo, "second")
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(repo.parent, "clone", "-q", "--filter=blob:none", repo.as_uri(), "clone")
    return repo.parent / "clone"


def _detached(repo: Path) -> Path:
    write(repo, {"a.txt": "second\n"})
    commit(repo, "second")
    git(repo, "checkout", "-q", "--detach")
    git(repo, "branch", "-q", "-f", "main", "HEAD~1")
    return repo


def _borrowing(repo: Path) -> Path:
    git(repo.parent, "clone", "-q", "--shared", str(repo), "clone")
    write(repo.parent / "clone", {"own.txt": "own\n"})
    commit(repo.parent / "clone", "own")
    return repo.parent / "clone"


def _worktree(repo: Path) -> Path:
    git(repo, "worktree", "add", "-q", "-b", "side", str(repo.parent / "clone"))
    return repo.parent / "clone"


def _sha256(repo: Path) -> Path:
    folder = repo.parent / "clone"
    write(folder, {"a.txt": "a\n"})
    git(folder, "init", "-q", "--object-format=sha256")
    commit(folder, "first")
    return folder


def _unborn(repo: Path) -> Path:
    folder = repo.parent / "clone"
    write(folder, {"a.txt": "a\n"})
    git(folder, "init", "-q")
    return folder


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "made", [_packed, _shallow, _partial, _detached, _borrowing, _worktree, _sha256, _unborn]
)
def test_every_kind_of_checkout(
    made: Callable[[Path], Path], repo: Path, here: Machine, there: Machine, tmp_path: Path
) -> None:
    checkout = made(repo)
    questions = [["status", "--porcelain"], ["rev-parse", "--is-shallow-repository"]]
    if made is not _unborn:
        questions += [["log", "--format=%H %s", "--all"], ["diff", "HEAD"], ["show", "--stat"]]
    answers = [git(checkout, *question) for question in questions]
    data = here.submit(checkout)
    if made is not _partial:  # there the rest comes from the remote
        shutil.rmtree(repo)
    shutil.rmtree(checkout, ignore_errors=True)
    with there.open(data) as opened:
        inside = box(opened, tmp_path / "box")
        assert [git(inside, *question) for question in questions] == answers


def test_a_repository_made_anew_in_another_format(
    repo: Path, here: Machine, tmp_path: Path
) -> None:
    first = here.submit(repo)
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q", "--object-format=sha256")
    commit(repo, "again")
    git(repo, "gc", "-q")
    for name, data in (("first", first), ("again", here.submit(repo))):
        with here.open(data) as opened:
            assert git(box(opened, tmp_path / name), "log", "--format=%s") == f"{name}\n"


def test_a_checkout_that_git_rearranges_meanwhile(
    repo: Path, here: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = kept_objects._part

    def and_then_packed(*arguments: Any) -> Any:
        part = listed(*arguments)
        git(repo, "gc", "-q", "--prune=now")
        return part

    monkeypatch.setattr(kept_objects, "_part", and_then_packed)
    data = here.submit(repo)
    shutil.rmtree(repo)
    with here.open(data) as opened:
        assert git(box(opened, tmp_path / "box"), "log", "--format=%s") == "first\n"


def test_without_git(tmp_path: Path, here: Machine, there: Machine) -> None:
    write(tmp_path / "plain", {"a.txt": "a"})
    data = here.submit(tmp_path / "plain")
    with there.open(data) as opened:
        assert fingerprint_of_text(opened.tree) == {"a.txt": "a"}


def test_a_disk_that_does_not_take_it_is_a_clear_error(
    repo: Path, here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, _target: Path) -> bool:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(kept_objects, "_link", full)
    with here.take(repo) as snapshot, pytest.raises(EnvironmentMissingError, match="No space left"):
        keep_snapshot(snapshot, portable=True)


# --- for how long


def test_it_stays_until_its_pin_is_taken_out(repo: Path, here: Machine, there: Machine) -> None:
    data = here.submit(repo)
    needed = object_files(here)
    push_out(here, repo)
    with there.open(data) as opened:
        assert (opened.tree / "a.txt").read_text() == "a\n"
    assert needed <= object_files(here)
    unpin_snapshot(data, there.storage)
    unpin_snapshot(data, there.storage)
    push_out(here, repo)
    with pytest.raises(EnvironmentMissingError, match="is gone"):
        there.open(data)


def test_each_of_two_runs_keeps_what_both_need(repo: Path, here: Machine) -> None:
    one, two = here.submit(repo), here.submit(repo)
    unpin_snapshot(one, here.storage)
    push_out(here, repo)
    here.open(two).release()


def test_a_run_that_goes_on_from_another_keeps_the_same(
    repo: Path, here: Machine, there: Machine
) -> None:
    first = here.submit(repo)
    shutil.rmtree(repo / ".git" / "objects")
    with keep_snapshot(there.open(first), portable=True) as kept:
        second = kept.to_json()
    assert {**second, "pin": ""} == {**first, "pin": ""}
    assert second["pin"] != first["pin"]


def test_objects_that_nothing_needs_are_removed(repo: Path, here: Machine) -> None:
    (repo / "once.txt").write_text("only once")
    git(repo, "add", "-A")
    blob = git(repo, "hash-object", "once.txt").strip()
    data = here.submit(repo)
    assert f"sha1-0/{blob[:2]}/{blob[2:]}" in object_files(here)
    git(repo, "rm", "-q", "-f", "once.txt")
    git(repo, "prune", "--expire=now")
    push_out(here, repo)
    assert f"sha1-0/{blob[:2]}/{blob[2:]}" in object_files(here)
    unpin_snapshot(data, here.storage)
    push_out(here, repo)
    assert f"sha1-0/{blob[:2]}/{blob[2:]}" not in object_files(here)


def test_pruning_takes_out_pins_that_no_run_names(repo: Path, here: Machine) -> None:
    wanted = here.submit(repo)
    (repo / "a.txt").write_text("leaked\n")
    leaked = here.submit(repo)
    shelf = Shelf(shelf_of(here))
    now = shelf.pins()[leaked["pin"]]
    prune_snapshots(here.storage, {wanted["pin"]}, now)
    push_out(here, repo)
    here.open(leaked).release()
    prune_snapshots(here.storage, {wanted["pin"]}, now + UNCLAIMED + 60)
    assert set(shelf.pins()) == {wanted["pin"]}
    push_out(here, repo)
    here.open(wanted).release()


def test_a_storage_that_is_another_folder_is_explained(
    repo: Path, here: Machine, tmp_path: Path
) -> None:
    data = here.submit(repo)
    with pytest.raises(EnvironmentMissingError, match="is gone") as raised:
        open_snapshot(data, tmp_path / "elsewhere")
    assert "PIPE_STORAGE" in raised.value.hint


def test_what_is_kept_is_not_read_again_after_a_restart(repo: Path, here: Machine) -> None:
    data = here.submit(repo)
    with here.open(data) as opened:
        (opened.tree / "a.txt").write_text("not what its name says")
    (shelf_of(here) / "boot").write_text("another boot")
    here.open(data).release()


def test_two_machines_do_not_take_each_other_for_restarted(repo: Path, here: Machine) -> None:
    here.take(repo).release()
    boot = shelf_of(here) / "boot"
    boot.write_text(f"{boot.read_text()}\nanother-machine")
    with here.take(repo) as snapshot:
        (snapshot.tree / "a.txt").write_text("damaged")
    with here.take(repo) as again:
        assert (again.tree / "a.txt").read_text() == "damaged"
    assert "another-machine" in boot.read_text()


def test_what_a_tree_is_made_of_again_is_not_durable_yet(repo: Path, here: Machine) -> None:
    data = here.submit(repo)
    unpin_snapshot(data, here.storage)
    (repo / "a.txt").write_text("other")
    here.take(repo).release()  # takes the first one apart
    (repo / "a.txt").write_text("a\n")
    with here.take(repo) as again:
        assert again.tree.name == Path(data["tree"]).name
        assert not (shelf_of(here) / f"{again.tree.name}.durable").exists()


# --- many at once

_SUBMIT = """
import json, sys
from pathlib import Path
from runner.project import *
root, home, storage, name = *map(Path, sys.argv[1:4]), sys.argv[4]
for number in range(8):
    (root / f"own-{name}").write_text(str(number))
    with keep_snapshot(take_snapshot(find_project(root), home, storage), portable=True) as kept:
        data = kept.to_json()
    print(json.dumps([number, data]), flush=True)
"""
_WORK = """
import json, sys
from pathlib import Path
from runner.project import *
storage, name = Path(sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    number, data = json.loads(line)
    with open_snapshot(data, storage) as snapshot:
        for tree in (snapshot.tree, open_variant(snapshot)):
            assert (tree / f"own-{name}").read_text() == str(number)
            assert len(list(tree.rglob("file-*"))) == 100
        assert all(any(folder.iterdir()) for folder in snapshot.objects)
    unpin_snapshot(data, storage)
    prune_snapshots(storage, (), 0.0)
"""


def test_machines_submit_and_work_and_prune_at_once(
    repo: Path, here: Machine, there: Machine, tmp_path: Path
) -> None:
    write(repo, {f"many/{index % 7}/file-{index}": str(index) for index in range(100)})
    commit(repo)
    with_python = [sys.executable, "-c"]
    pairs = []
    for number, machine in enumerate((here, there)):
        name = str(number)
        places = [str(tmp_path / f"home-{number}"), str(machine.storage)]
        submitter = subprocess.Popen(
            [*with_python, _SUBMIT, str(repo), *places, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        other = (there, here)[number]
        worker = subprocess.Popen(
            [*with_python, _WORK, str(other.storage), name],
            stdin=submitter.stdout,
            stderr=subprocess.PIPE,
        )
        assert submitter.stdout is not None
        submitter.stdout.close()
        pairs += [submitter, worker]
    problems = [process.communicate()[1].decode() for process in pairs]
    assert problems == [""] * 4


@pytest.fixture
def submitting(repo: Path, here: Machine) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _SUBMIT, str(repo), str(here.home), str(here.storage), "x"]
    with killed_at_the_end(subprocess.Popen(command, stdout=subprocess.PIPE)) as process:
        yield process


def test_a_submitter_that_is_killed_loses_nothing_it_told(
    repo: Path, here: Machine, submitting: subprocess.Popen[bytes]
) -> None:
    assert submitting.stdout is not None
    number, data = json.loads(submitting.stdout.readline())
    submitting.kill()
    submitting.wait()
    push_out(here, repo)
    with here.open(data) as opened:
        assert (opened.tree / "own-x").read_text() == str(number)
