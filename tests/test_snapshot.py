"""The copy of the source that a job sees, against real git repositories."""

import hashlib
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.project import (
    Snapshot,
    find_project,
    open_snapshot,
    open_variant,
    take_snapshot,
)
from runner.project.manifest import SourceChangedError, from_bytes, read_entry
from runner.project.shelf import Shelf
from runner.project.tree import PLAIN, copy_paths


@pytest.fixture
def home(pipe_home: Path) -> Path:
    pipe_home.mkdir()
    return pipe_home


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    write(folder, {"a.txt": "a", "sub/b.txt": "b"})
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    write(folder, {"a.txt": "a\n", "sub/b.txt": "b\n", ".gitignore": "ignored/\n*.log\n"})
    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return os.fsdecode(done.stdout)


def commit(folder: Path, message: str = "change") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def take(folder: Path, home: Path) -> Snapshot:
    return take_snapshot(find_project(folder), home, home)


@contextmanager
def killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the test, however that ends."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def names(tree: Path) -> set[str]:
    """Every file in the tree, and every folder that is empty."""
    found = set()
    for folder, folders, files in os.walk(tree):
        below = os.path.relpath(folder, tree)
        entries = [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]
        found |= {os.path.normpath(f"{below}/{name}") for name in entries}
        if not files and not folders:
            found.add(f"{below}/")
    return found


def fingerprint(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder with its times and content."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def box(snapshot: Snapshot, folder: Path) -> Path:
    """The layers of a snapshot laid over each other, as a job would see them."""
    assert snapshot.git is not None
    shutil.copytree(snapshot.tree, folder, symlinks=True)
    shutil.copytree(snapshot.git, folder, symlinks=True, dirs_exist_ok=True)
    listed = folder / ".git" / "objects" / "info" / "alternates"
    expected = [f"/github/objects/{index}" for index in range(len(snapshot.objects))]
    assert listed.read_text().split() == expected
    listed.write_text("".join(f"{objects}\n" for objects in snapshot.objects))
    return folder


# --- what is in it


def test_git_decides_what_is_in_it(repo: Path, home: Path) -> None:
    write(repo, {"new.txt": "n", "x.log": "l", "ignored/y": "y", "sub/deep/z": "z"})
    (repo / "a.txt").unlink()
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "new.txt", "sub/b.txt", "sub/deep/z"}


def test_a_tracked_file_is_taken_although_it_is_ignored(repo: Path, home: Path) -> None:
    write(repo, {"keep.log": "k"})
    git(repo, "add", "-f", "keep.log")
    with take(repo, home) as snapshot:
        assert "keep.log" in names(snapshot.tree)


def test_without_git_pipeignore_decides(plain: Path, home: Path) -> None:
    write(plain, {".pipeignore": "*.log\n/out/\n!keep.log\n", "x.log": "", "keep.log": ""})
    write(plain, {"out/o": "", "sub/out/o": "", ".git/config": ""})
    (plain / "empty").mkdir()
    with take(plain, home) as snapshot:
        assert snapshot.git is None
        assert snapshot.objects == ()
        assert names(snapshot.tree) == {
            ".pipeignore", "a.txt", "sub/b.txt", "keep.log", "sub/out/o", "empty/",
        }  # fmt: skip


def test_without_a_git_program_all_is_taken(
    repo: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    write(repo, {"x.log": "l"})
    with take(repo, home) as snapshot:
        assert snapshot.git is None
        assert names(snapshot.tree) == {".gitignore", "a.txt", "sub/b.txt", "x.log"}


def test_before_the_first_commit(tmp_path: Path, home: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk", "young")
    write(tmp_path / "young", {"f": "f"})
    with take(tmp_path / "young", home) as snapshot:
        assert names(snapshot.tree) == {"f"}
        inside = box(snapshot, tmp_path / "box")
        assert (
            git(inside, "status", "--porcelain", "--branch") == "## No commits yet on trunk\n?? f\n"
        )


def test_an_empty_folder(tmp_path: Path, home: Path) -> None:
    (tmp_path / "void").mkdir()
    with take(tmp_path / "void", home) as snapshot:
        assert names(snapshot.tree) == {"./"}


def test_modes_are_normal_and_times_are_kept(repo: Path, home: Path) -> None:
    write(repo, {"run.sh": "#!/bin/sh\n"})
    (repo / "run.sh").chmod(0o740)
    (repo / "a.txt").chmod(0o600)
    (repo / "sub").chmod(0o700)
    os.utime(repo / "a.txt", ns=(5, 1_234_567_890_123_456_789))
    with take(repo, home) as snapshot:
        modes = {
            name: stat.S_IMODE((snapshot.tree / name).stat().st_mode)
            for name in ("run.sh", "a.txt", "sub", ".")
        }
        assert modes == {"run.sh": 0o755, "a.txt": 0o644, "sub": 0o755, ".": 0o755}
        assert (snapshot.tree / "a.txt").stat().st_mtime_ns == 1_234_567_890_123_456_789


def test_links_stay_links(repo: Path, home: Path, tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret": "s"})
    (repo / "away").symlink_to(tmp_path / "outside")
    (repo / "broken").symlink_to("nowhere")
    (repo / "near").symlink_to("a.txt")
    with take(repo, home) as snapshot:
        assert (snapshot.tree / "away").readlink() == tmp_path / "outside"
        assert (snapshot.tree / "broken").readlink() == Path("nowhere")
        assert (snapshot.tree / "near").readlink() == Path("a.txt")


def test_a_folder_that_became_a_link_is_not_followed(
    repo: Path, home: Path, tmp_path: Path
) -> None:
    take(repo, home).release()
    write(tmp_path, {"outside/b.txt": "secret"})
    shutil.rmtree(repo / "sub")
    (repo / "sub").symlink_to(tmp_path / "outside")
    write(repo, {".gitignore": "sub\n"})
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "a.txt"}


def test_odd_names(repo: Path, home: Path) -> None:
    odd = [
        b"new\nline",
        b"\xff\xfe",
        b" space ",
        b"quo\"te'",
        b"-dash",
        b"back\\slash",
        "ü€".encode(),
    ]
    for name in odd:
        (repo / os.fsdecode(name)).write_bytes(name)
    (repo / os.fsdecode(b"dir\xff")).mkdir()
    (repo / os.fsdecode(b"dir\xff/\n")).write_bytes(b"x")
    with take(repo, home) as snapshot:
        found = {os.fsencode(path.name) for path in snapshot.tree.iterdir()}
        assert found == {*odd, b"dir\xff", b"a.txt", b"sub", b".gitignore"}
        assert all((snapshot.tree / os.fsdecode(name)).read_bytes() == name for name in odd)


@pytest.mark.parametrize("folder", ["repo", "plain"])
def test_what_is_no_file_is_skipped(
    folder: str, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    root: Path = request.getfixturevalue(folder)
    monkeypatch.chdir(root)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server, take(root, home) as snapshot:
        server.bind("socket")
        assert names(snapshot.tree) == names(root) - {"pipe", "socket"} - git_files(root)


def git_files(root: Path) -> set[str]:
    return {name for name in names(root) if name.startswith(".git/")}


def test_a_tracked_file_that_became_a_pipe_is_skipped(repo: Path, home: Path) -> None:
    (repo / "a.txt").unlink()
    os.mkfifo(repo / "a.txt")
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "sub/b.txt"}


def test_repositories_inside_give_their_files(repo: Path, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other, {"lib.c": "c", ".gitignore": "*.o\n"})
    git(other, "init", "-q", "-b", "main")
    commit(other)
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "mod")
    commit(repo)
    shutil.copytree(other, repo / "nested")
    shutil.copytree(other, repo / "nested" / "deeper")
    write(repo, {"mod/new.c": "n", "mod/x.o": "o", "nested/x.o": "o"})
    inner = {"mod/lib.c", "mod/.gitignore", "mod/new.c"}
    nested = {
        f"{place}/{name}"
        for place in ("nested", "nested/deeper")
        for name in ("lib.c", ".gitignore")
    }
    with take(repo, home) as snapshot:
        expected = {"a.txt", "sub/b.txt", ".gitignore", ".gitmodules"}
        assert names(snapshot.tree) == expected | inner | nested
        first = snapshot.id
    write(repo, {"nested/deeper/lib.c": "changed"})
    with take(repo, home) as snapshot:
        assert snapshot.id != first
        assert (snapshot.tree / "nested/deeper/lib.c").read_text() == "changed"


def test_a_submodule_that_was_not_fetched_is_an_empty_folder(
    repo: Path, home: Path, tmp_path: Path
) -> None:
    sha = git(repo, "rev-parse", "HEAD").strip()
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{sha},mod")
    git(repo, "commit", "-q", "-m", "module")
    (repo / "mod").mkdir()
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {"a.txt", "sub/b.txt", ".gitignore", "mod/"}
        assert git(box(snapshot, tmp_path / "box"), "status", "--porcelain") == ""


def test_a_file_that_became_a_folder_and_back(repo: Path, home: Path) -> None:
    take(repo, home).release()
    (repo / "a.txt").unlink()
    write(repo, {"a.txt/inner": "i"})
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "a.txt/inner", "sub/b.txt"}
    shutil.rmtree(repo / "a.txt")
    write(repo, {"a.txt": "again"})
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "a.txt", "sub/b.txt"}


def test_a_deleted_file_that_comes_back(repo: Path, home: Path) -> None:
    (repo / "a.txt").rename(repo / "a.log")
    take(repo, home).release()
    (repo / "a.log").rename(repo / "a.txt")
    with take(repo, home) as snapshot:
        assert "a.txt" in names(snapshot.tree)


def test_pipe_home_inside_the_source_is_left_out(repo: Path) -> None:
    home = repo / "state"
    home.mkdir()
    take(repo, home).release()
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "a.txt", "sub/b.txt"}


def test_filters_do_not_change_files(repo: Path, home: Path, tmp_path: Path) -> None:
    write(repo, {".gitattributes": "*.txt filter=loud eol=crlf\n", "crlf.txt": "x\r\n"})
    ran = tmp_path / "ran"
    for kind in ("clean", "smudge"):
        git(repo, "config", f"filter.loud.{kind}", f"touch {ran}; tr a-z A-Z")
    git(repo, "config", "core.fsmonitor", f"touch {ran}; false")
    with take(repo, home) as snapshot:
        assert (snapshot.tree / "a.txt").read_bytes() == b"a\n"
        assert (snapshot.tree / "crlf.txt").read_bytes() == b"x\r\n"
    assert not ran.exists()


def test_git_variables_of_a_hook_do_not_mislead(
    repo: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "none"))
    with take(repo, home) as snapshot:
        assert names(snapshot.tree) == {".gitignore", "a.txt", "sub/b.txt"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(plain: Path, home: Path) -> None:
    (plain / "a.txt").chmod(0)
    with pytest.raises(InvalidInputError, match=r"a\.txt: Permission denied"):
        take(plain, home)


def test_a_broken_index_is_explained(repo: Path, home: Path) -> None:
    project = find_project(repo)
    (repo / ".git" / "index").write_bytes(b"broken")
    with pytest.raises(EnvironmentMissingError, match="git could not list"):
        take_snapshot(project, home, home)


# --- its name, and how it is updated


def test_the_same_content_has_the_same_name(repo: Path, home: Path, tmp_path: Path) -> None:
    other = shutil.copytree(repo, tmp_path / "clone")
    os.utime(other / "a.txt", (1, 1))
    with take(repo, home) as one, take(other, home) as two:
        assert one.id == two.id
        assert one.tree != two.tree


@pytest.mark.parametrize("folder", ["repo", "plain"])
def test_every_change_gives_another_name(
    folder: str, home: Path, request: pytest.FixtureRequest
) -> None:
    root: Path = request.getfixturevalue(folder)
    seen = set()

    def see() -> None:
        with take(root, home) as snapshot:
            seen.add(snapshot.id)
            assert fingerprint_of_text(snapshot.tree) == fingerprint_of_text(root)

    see()
    (root / "a.txt").write_text("same size"[:1])
    see()
    (root / "a.txt").chmod(0o755)
    see()
    (root / "sub/b.txt").unlink()
    see()
    (root / "sub/b.txt").symlink_to("../a.txt")
    see()
    write(root, {"c/d/e": ""})
    see()
    (root / "c/d/e").rename(root / "c/e")
    (root / "c/d").rmdir()
    see()
    assert len(seen) == 7


def fingerprint_of_text(root: Path) -> dict[str, str]:
    files = names(root) - git_files(root)
    return {name: (root / name).read_text() for name in files if not name.endswith("/")}


def test_a_change_of_the_same_size_and_time_is_seen(repo: Path, home: Path) -> None:
    take(repo, home).release()
    before = (repo / "a.txt").stat()
    (repo / "a.txt").write_text("b\n")
    os.utime(repo / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    with take(repo, home) as snapshot:
        assert (snapshot.tree / "a.txt").read_text() == "b\n"


def test_unchanged_files_are_not_copied_again(repo: Path, home: Path) -> None:
    with take(repo, home) as first:
        inode = (first.tree / "sub/b.txt").stat().st_ino
        (repo / "a.txt").write_text("new")
        with take(repo, home) as second:
            assert (second.tree / "sub/b.txt").stat().st_ino == inode
            assert (second.tree / "a.txt").read_text() == "new"
            assert (first.tree / "a.txt").read_text() == "a\n"


def test_a_tree_that_nobody_holds_is_reused(repo: Path, home: Path) -> None:
    with take(repo, home) as first:
        pass
    (repo / "a.txt").write_text("new")
    with take(repo, home) as second:
        assert not first.tree.exists()
        assert fingerprint_of_text(second.tree) == fingerprint_of_text(repo)


def test_an_unchanged_tree_is_found_and_not_written(repo: Path, home: Path) -> None:
    with take(repo, home) as first:
        before = fingerprint(first.tree)
    with take(repo, home) as second:
        assert second == first
        assert fingerprint(second.tree) == before


def test_unheld_trees_are_removed_but_for_the_newest(repo: Path, home: Path) -> None:
    held = []
    for text in "123456":
        (repo / "a.txt").write_text(text)
        held.append(take(repo, home))
    assert all(snapshot.tree.is_dir() for snapshot in held)
    for snapshot in held:
        snapshot.release()
    take(repo, home).release()
    assert [snapshot.tree.is_dir() for snapshot in held] == [False] * 3 + [True] * 3


def test_what_a_crash_left_is_removed(repo: Path, home: Path) -> None:
    with take(repo, home) as snapshot:
        shelf = snapshot.tree.parent
    write(shelf, {"tmp-dead/half": "h", "tmp-scan": "s"})
    take(repo, home).release()
    assert [path.name for path in shelf.glob("tmp-*")] == []


def test_a_scan_that_does_not_fit_is_made_again(repo: Path, home: Path) -> None:
    with take(repo, home) as snapshot:
        scan = snapshot.tree.parent / "scan"
    for damaged in (b"", b"{", scan.read_bytes()[:-1], b'{"id": "gone", "listed": ""}\n'):
        scan.write_bytes(damaged)
        with take(repo, home) as again:
            assert again.id == snapshot.id
            assert fingerprint_of_text(again.tree) == fingerprint_of_text(repo)


def test_a_file_that_differs_from_what_was_seen_is_refused(plain: Path, tmp_path: Path) -> None:
    entry = read_entry(plain, b"a.txt", (plain / "a.txt").stat().st_mode)
    (plain / "a.txt").write_text("b")
    (tmp_path / "copy").mkdir()
    with pytest.raises(SourceChangedError, match=r"a\.txt"):
        copy_paths(plain, tmp_path / "copy", [b"a.txt"], {b"a.txt": entry}, PLAIN)


def test_a_file_that_never_rests_is_named_in_the_error(home: Path) -> None:
    # Linux gives another UUID whenever this file is read.
    with pytest.raises(EnvironmentMissingError, match=r"faster than it can be copied: .*/uuid"):
        take(Path("/proc/sys/kernel/random"), home)


# --- holding, finding it again


def test_what_a_power_cut_emptied_is_made_again(repo: Path, home: Path) -> None:
    with take(repo, home) as snapshot:
        variant = open_variant(snapshot)
        shelf = snapshot.tree.parent
        described = snapshot.to_json()
    assert snapshot.git is not None
    for emptied in (snapshot.tree / "a.txt", variant / "a.txt", snapshot.git / ".git" / "index"):
        emptied.write_bytes(b"")
    (shelf / "boot").write_text("another boot")
    with pytest.raises(EnvironmentMissingError, match="gone"):
        open_snapshot(described, home)
    with take(repo, home) as again:
        assert again == snapshot
        assert (again.tree / "a.txt").read_text() == "a\n"
        assert (open_variant(again) / "a.txt").read_text() == "a\n"
        assert (snapshot.git / ".git" / "index").stat().st_size > 0


def test_what_a_restart_left_whole_is_kept(repo: Path, home: Path) -> None:
    with take(repo, home) as snapshot:
        before = fingerprint(snapshot.tree.parent)
    (snapshot.tree.parent / "boot").write_text("another boot")
    with take(repo, home) as again:
        assert again == snapshot
    assert fingerprint(snapshot.tree.parent).keys() == before.keys()
    assert fingerprint(snapshot.tree) == {
        name: value for name, value in before.items() if name.startswith(f"{snapshot.tree}/")
    }


def test_a_whole_home_folder_is_refused(home: Path) -> None:
    with pytest.raises(InvalidInputError, match="would be all of"):
        take(Path.home(), home)


def test_names_that_are_held_cannot_be_claimed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with shelf.locked():
        one, two = shelf.hold("name"), shelf.hold("name")
        one.release()
        assert shelf.claim("name") is None
        assert not shelf.discard("name")
        two.release()
        assert shelf.discard("name")
        assert shelf.names() == []


# --- the variant for other users


def test_the_variant_may_be_changed_by_anybody(repo: Path, home: Path) -> None:
    write(repo, {"run.sh": ""})
    (repo / "run.sh").chmod(0o700)
    with take(repo, home) as snapshot:
        variant = open_variant(snapshot)
        modes = {
            name: stat.S_IMODE((variant / name).stat().st_mode)
            for name in (".", "sub", "a.txt", "run.sh")
        }
        assert modes == {".": 0o777, "sub": 0o777, "a.txt": 0o666, "run.sh": 0o777}
        assert names(variant) == names(snapshot.tree)
        assert open_variant(snapshot) == variant
        mtime = (repo / "a.txt").stat().st_mtime_ns
        assert (variant / "a.txt").stat().st_mtime_ns == mtime
        assert stat.S_IMODE((snapshot.tree / "a.txt").stat().st_mode) == 0o644


def test_the_variant_is_updated_too(repo: Path, home: Path) -> None:
    with take(repo, home) as snapshot:
        old = open_variant(snapshot)
        inode = (old / "sub/b.txt").stat().st_ino
    write(repo, {"a.txt": "new", "c": "c"})
    with take(repo, home) as snapshot:
        variant = open_variant(snapshot)
        assert (variant / "sub/b.txt").stat().st_ino == inode
        assert not old.exists()
        assert fingerprint_of_text(variant) == fingerprint_of_text(repo)
        assert stat.S_IMODE((variant / "c").stat().st_mode) == 0o666


# --- git in the box


def test_git_works_in_the_box(repo: Path, home: Path, tmp_path: Path) -> None:
    git(repo, "tag", "-a", "v1", "-m", "one")
    git(repo, "branch", "other")
    git(repo, "pack-refs", "--all")
    git(repo, "branch", "loose")
    with take(repo, home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        for command in (
            ("log", "--format=%H %D", "--decorate=full"),
            ("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"),
            ("describe", "--tags"),
            ("symbolic-ref", "HEAD"),
            ("ls-files", "--stage"),
            ("status", "--porcelain"),
        ):
            assert git(inside, *command) == git(repo, *command)
        assert git(inside, "fsck", "--connectivity-only") == ""


def test_the_index_matches_the_copies(repo: Path, home: Path, tmp_path: Path) -> None:
    with take(repo, home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        # Plumbing does not read files: it says what the index alone finds changed.
        assert git(inside, "diff-files", "--name-only") == ""
        assert git(inside, "diff-index", "--name-only", "HEAD") == ""


def test_changes_are_the_same_in_the_box(repo: Path, home: Path, tmp_path: Path) -> None:
    write(repo, {"a.txt": "b\n", "new": "n", "staged": "s"})
    (repo / "sub/b.txt").unlink()
    git(repo, "add", "staged")
    with take(repo, home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        status = git(inside, "status", "--porcelain")
        assert status == "".join((" M a.txt\n", "A  staged\n", " D sub/b.txt\n", "?? new\n"))


def test_taking_a_snapshot_writes_nothing_into_the_checkout(repo: Path, home: Path) -> None:
    write(repo, {"untracked": "u"})
    os.utime(repo / "a.txt", (1, 1))
    before = fingerprint(repo)
    for _ in range(2):
        with take(repo, home) as snapshot:
            open_variant(snapshot)
    assert fingerprint(repo) == before


def test_commits_in_the_box_stay_there(repo: Path, home: Path, tmp_path: Path) -> None:
    before = {name: content for name, (_, _, content) in fingerprint(repo).items()}
    with take(repo, home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        write(inside, {"a.txt": "boxed"})
        sha = commit(inside, "in the box")
        git(inside, "tag", "-a", "boxed", "-m", "t")
        git(inside, "gc", "--quiet")
        assert git(inside, "rev-parse", "boxed^{commit}", "HEAD^") == sha + "\n" + git(
            repo, "rev-parse", "HEAD"
        )
    assert {name: content for name, (_, _, content) in fingerprint(repo).items()} == before


def test_the_layer_holds_no_secret(repo: Path, home: Path) -> None:
    for key, value in {
        "remote.origin.url": "https://ada:hunter2@example.com/o/n.git",
        "remote.origin.pushurl": "ssh://git:hunter2@example.com/o/n.git",
        "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
        "branch.main.remote": "origin",
        "branch.main.merge": "refs/heads/main",
        "http.https://example.com/.extraheader": "Authorization: hunter2",
        "credential.helper": "!echo hunter2",
        "url.https://hunter2@example.com/.insteadOf": "https://example.com/",
        "core.hooksPath": "/hunter2",
    }.items():
        git(repo, "config", key, value)
    write(repo, {".git/hooks/pre-commit": "hunter2"})
    with take(repo, home) as snapshot:
        assert snapshot.git is not None
        assert [path.name for path in snapshot.git.iterdir()] == [".git"]
        assert not any(b"hunter2" in path.read_bytes() for path in files_below(snapshot.git))
        config = ("config", "--file", str(snapshot.git / ".git" / "config"), "--get")
        for key, value in {
            "remote.origin.url": "https://example.com/o/n.git",
            "remote.origin.pushurl": "ssh://git@example.com/o/n.git",
            "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
            "branch.main.merge": "refs/heads/main",
            "core.checkStat": "minimal",
            "core.trustctime": "false",
        }.items():
            assert git(repo, *config, key) == f"{value}\n"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_odd_settings_survive(repo: Path, home: Path) -> None:
    name = 'branch.we"ird\\one.merge'
    git(repo, "config", name, 'refs/heads/we"ird\\one # not a comment')
    with take(repo, home) as snapshot:
        config = str(snapshot.git) + "/.git/config"
        found = git(repo, "config", "--file", config, "--get", name)
    assert found == 'refs/heads/we"ird\\one # not a comment\n'


def test_a_worktree(repo: Path, home: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    write(tmp_path / "side", {"only-here": "x"})
    sha = commit(tmp_path / "side")
    with take(tmp_path / "side", home) as snapshot:
        assert snapshot.objects == (repo / ".git" / "objects",)
        inside = box(snapshot, tmp_path / "box")
        assert git(inside, "rev-parse", "HEAD", "--abbrev-ref", "HEAD") == f"{sha}\nside\n"
        assert git(inside, "status", "--porcelain") == ""


def test_a_detached_head(repo: Path, home: Path, tmp_path: Path) -> None:
    git(repo, "checkout", "-q", "--detach")
    with take(repo, home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        assert git(inside, "rev-parse", "HEAD") == git(repo, "rev-parse", "HEAD")
        assert git(inside, "status", "--porcelain", "--branch") == "## HEAD (no branch)\n"


def test_a_shallow_clone(repo: Path, home: Path, tmp_path: Path) -> None:
    write(repo, {"a.txt": "2"})
    commit(repo)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "shallow")
    with take(tmp_path / "shallow", home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        assert git(inside, "rev-list", "--count", "HEAD") == "1\n"
        assert git(inside, "rev-parse", "--is-shallow-repository") == "true\n"
        assert git(inside, "status", "--porcelain") == ""
        assert git(inside, "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/main\n"


def test_borrowed_objects_are_followed(repo: Path, home: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(repo), "one")
    git(tmp_path, "clone", "-q", "--shared", str(tmp_path / "one"), "two")
    with take(tmp_path / "two", home) as snapshot:
        places = [tmp_path / name / ".git" / "objects" for name in ("two", "one", "repo")]
        assert snapshot.objects == tuple(places)
        assert git(box(snapshot, tmp_path / "box"), "status", "--porcelain") == ""


def test_a_split_index(repo: Path, home: Path, tmp_path: Path) -> None:
    git(repo, "update-index", "--split-index")
    with take(repo, home) as snapshot:
        inside = box(snapshot, tmp_path / "box")
        assert git(inside, "ls-files") == git(repo, "ls-files")


def test_line_ends_that_git_converts(repo: Path, home: Path, tmp_path: Path) -> None:
    git(repo, "config", "core.autocrlf", "true")
    git(repo, "rm", "-q", "--cached", "-r", ".")
    git(repo, "reset", "-q", "--hard")
    assert (repo / "a.txt").read_bytes() == b"a\r\n"
    with take(repo, home) as snapshot:
        assert (snapshot.tree / "a.txt").read_bytes() == b"a\r\n"
        inside = box(snapshot, tmp_path / "box")
        (inside / "a.txt").touch()
        assert git(inside, "status", "--porcelain") == ""


# --- many at once

_TAKE = """
import hashlib, sys
from pathlib import Path
from runner.project import find_project, open_variant, take_snapshot
root, home, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
own = root / f"own-{sys.argv[4]}"
for number in range(rounds):
    own.write_text(str(number))
    with take_snapshot(find_project(root), home, home) as snapshot:
        for tree in (snapshot.tree, open_variant(snapshot)):
            assert (tree / own.name).read_text() == str(number)
            assert len(list(tree.rglob("file-*"))) == 200
"""


def test_processes_at_once(repo: Path, home: Path) -> None:
    write(repo, {f"many/{index % 7}/file-{index}": str(index) for index in range(200)})
    command = [sys.executable, "-c", _TAKE, str(repo), str(home), "12"]
    started = [
        subprocess.Popen([*command, str(index)], stderr=subprocess.PIPE) for index in range(3)
    ]
    problems = [process.communicate()[1].decode() for process in started]
    assert problems == ["", "", ""]


_CHANGE = """
import sys
from pathlib import Path
from runner.project import find_project, open_variant, take_snapshot
root, home = Path(sys.argv[1]), Path(sys.argv[2])
for number in range(10**9):
    for name in ("a.txt", f"many/{number % 7}/file-{number % 200}"):
        (root / name).write_text(str(number))
    with take_snapshot(find_project(root), home, home) as snapshot:
        open_variant(snapshot)
"""


def test_a_process_killed_at_any_moment_leaves_whole_trees(repo: Path, home: Path) -> None:
    write(repo, {f"many/{index % 7}/file-{index}": str(index) for index in range(200)})
    with take(repo, home) as snapshot:
        shelf = snapshot.tree.parent
    for _ in range(5):
        command = [sys.executable, "-c", _CHANGE, str(repo), str(home)]
        with killed_at_the_end(subprocess.Popen(command)) as process:
            while not any(shelf.glob("tmp-*")):
                assert process.poll() is None
        with take(repo, home) as again:
            open_variant(again)
            trees = [path for path in shelf.iterdir() if path.is_dir() and path.name[:4] != "git-"]
            assert again.tree in trees
            assert all(is_whole(tree) for tree in trees)
            assert fingerprint_of_text(again.tree) == fingerprint_of_text(repo)
        known = {file.name.removesuffix(".lock") for file in shelf.glob("*.lock")}
        owned = {re.split(r"[.]|-open", path.name)[0] for path in shelf.iterdir()}
        assert owned - {"lock", "scan", "boot"} == known


def is_whole(tree: Path) -> bool:
    manifest = from_bytes((tree.parent / f"{tree.name[:32]}.manifest").read_bytes())
    found = {
        os.fsencode(name): read_entry(tree, os.fsencode(name), (tree / name).lstat().st_mode)
        for name in names(tree)
    }
    return found == manifest


def test_a_killed_process_holds_nothing(repo: Path, home: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from runner.project import *\n"
        "root, home = map(Path, sys.argv[1:])\n"
        "print(take_snapshot(find_project(root), home, home).tree, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(repo), str(home)]
    with killed_at_the_end(subprocess.Popen(command, stdout=subprocess.PIPE)) as process:
        assert process.stdout is not None
        tree = Path(os.fsdecode(process.stdout.readline().strip()))
        (repo / "a.txt").write_text("1")
        take(repo, home).release()
        assert tree.is_dir()
    (repo / "a.txt").write_text("2")
    with take(repo, home), Shelf(tree.parent).locked():
        claim = Shelf(tree.parent).claim(tree.name)
        assert claim is not None
        claim.release()


def test_a_name_is_the_hash_of_its_manifest(repo: Path, home: Path) -> None:
    with take(repo, home) as snapshot:
        manifest = snapshot.tree.parent / f"{snapshot.id}.manifest"
        assert hashlib.sha256(manifest.read_bytes()).hexdigest().startswith(snapshot.id)


def test_a_copy_that_is_held_costs_no_links_where_another_is_free(repo: Path, home: Path) -> None:
    first = take(repo, home)
    write(repo, {"a.txt": "second\n"})
    with take(repo, home) as second:
        first.release()
        write(repo, {"a.txt": "third\n"})
        with take(repo, home) as third:
            assert not first.tree.exists()
            assert (second.tree / "a.txt").read_text() == "second\n"
            assert (third.tree / "a.txt").read_text() == "third\n"
