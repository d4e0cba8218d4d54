"""What turns one snapshot of a source into another: what to take away first, then what to put in."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.project.manifest import EXECUTABLE, FILE, Manifest, parents
from runner.project.shelf import Shelf
from runner.project.snapshot import Snapshot
from runner.project.tree import differing
from runner.project.update import read_manifest

_GIT = ".git"


@dataclass(frozen=True, slots=True)
class Difference:
    """`gone` are files and whole folders, from the top of the tree on; they go first. `fresh` are
    files, links and folders (each before what is in it): where each is, and its path in the tree.
    """

    gone: tuple[str, ...] = ()
    fresh: tuple[tuple[Path, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.fresh)


def changed_paths(old: Snapshot, new: Snapshot) -> tuple[str, ...]:
    """Paths of files that are not the same in both, by name."""
    before, after = _manifest(old), _manifest(new)
    paths = {*differing(before, after), *differing(after, before)}
    return tuple(sorted(os.fsdecode(path.rstrip(b"/")) for path in paths))


def difference(old: Snapshot, new: Snapshot) -> Difference:
    """What makes a tree with `old` in it one with `new`, git's own files included."""
    before, after = _manifest(old), _manifest(new)
    stale = [path for path in differing(after, before) if not _is_overwritten(path, before, after)]
    gone = _topmost({*stale, *(parents(before) - parents(after))})
    made = {*differing(before, after), *(parents(after) - parents(before))}
    names = sorted({path.rstrip(b"/") for path in made})
    entries = ((new.tree / name, name) for name in map(os.fsdecode, names))
    files = _of_git(old, new)
    return Difference((*gone, *files.gone), (*entries, *files.fresh))


def files_of(snapshot: Snapshot) -> frozenset[str]:
    """The paths of all files in it, and of folders that are empty."""
    return frozenset(os.fsdecode(path.rstrip(b"/")) for path in _manifest(snapshot))


def _manifest(snapshot: Snapshot) -> Manifest:
    return read_manifest(Shelf(snapshot.tree.parent), snapshot.id)


def _is_overwritten(path: bytes, before: Manifest, after: Manifest) -> bool:
    """Whether a file is still one, so that unpacking it is enough."""
    kinds = {before[path][:1], after.get(path, b"")[:1]}
    return kinds <= {FILE, EXECUTABLE}


def _topmost(paths: set[bytes]) -> Iterator[str]:
    """Without what is in another of them."""
    chosen = {path.rstrip(b"/") for path in paths}
    for path in sorted(chosen):
        if not parents([path]) & chosen:
            yield os.fsdecode(path)


def _of_git(old: Snapshot, new: Snapshot) -> Difference:
    if old.git == new.git or old.git is None or new.git is None:
        return Difference()
    before, after = _files_below(old.git), _files_below(new.git)
    fresh = (path for path in sorted(after) if not _is_same(before.get(path), after[path]))
    return Difference(
        tuple(sorted(before.keys() - after.keys())),
        tuple((after[path], path) for path in fresh),
    )


def _files_below(folder: Path) -> dict[str, Path]:
    found = (path for path in (folder / _GIT).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path for path in found}


def _is_same(old: Path | None, new: Path) -> bool:
    """git looks at the time of its index, too."""
    if old is None or (old.stat().st_mtime_ns != new.stat().st_mtime_ns and new.name == "index"):
        return False
    return old.read_bytes() == new.read_bytes()
