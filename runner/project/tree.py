"""A source tree as a folder: copied, hard-linked or moved into place, never written in place."""

# Names in a tree are bytes and need not be text, which pathlib cannot hold.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH112, PTH118, PTH123, PTH208, PTH211

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from runner.project.manifest import (
    EXECUTABLE,
    FOLDER,
    LINK,
    Manifest,
    SourceChangedError,
    copy_content,
    link_entry,
    open_source,
    parents,
    read_link,
)


@dataclass(frozen=True, slots=True)
class Modes:
    """The permissions that every folder, file and executable of a tree gets."""

    folder: int
    file: int
    executable: int


PLAIN = Modes(0o755, 0o644, 0o755)
#: For images whose user is not root: it must be able to change what it did not make.
OPEN = Modes(0o777, 0o666, 0o777)


def differing(old: Manifest, new: Manifest) -> list[bytes]:
    """Paths of `new` that `old` lacks or has otherwise, in the order of `new`."""
    return [path for path, entry in new.items() if old.get(path) != entry]


def copy_paths(
    source: Path, target: Path, paths: Collection[bytes], manifest: Manifest, modes: Modes
) -> None:
    """Copy `paths` of `source` into the folder `target`, with times and without other traits.

    Raises SourceChangedError when a file is not what `manifest` says.
    """
    start, end = os.fsencode(source), os.fsencode(target)
    os.chmod(target, modes.folder)
    _make_folders(target, paths, modes)
    for path in paths:
        _copy(os.path.join(start, path), os.path.join(end, path), manifest[path], modes)


def link_paths(base: Path, target: Path, paths: Collection[bytes], modes: Modes) -> None:
    """Give `target` the same files as `base` at `paths`, as hard links."""
    start, end = os.fsencode(base), os.fsencode(target)
    _make_folders(target, paths, modes)
    for path in paths:
        if not path.endswith(b"/"):
            os.link(os.path.join(start, path), os.path.join(end, path), follow_symlinks=False)


def remove_paths(tree: Path, paths: Collection[bytes]) -> None:
    """Remove `paths` from `tree`, and the folders that this leaves empty."""
    top = os.fsencode(tree)
    for path in paths:
        if not path.endswith(b"/"):
            os.unlink(os.path.join(top, path))
    for folder in sorted(parents(paths), key=len, reverse=True):
        full = os.path.join(top, folder)
        if not os.listdir(full):
            os.rmdir(full)


def move_paths(staged: Path, tree: Path, paths: Collection[bytes], modes: Modes) -> None:
    """Move `paths`, which `tree` must not have, from one folder to the other."""
    start, end = os.fsencode(staged), os.fsencode(tree)
    _make_folders(tree, paths, modes)
    for path in paths:
        if not path.endswith(b"/"):
            os.rename(os.path.join(start, path), os.path.join(end, path))


def _copy(source: bytes, target: bytes, entry: bytes, modes: Modes) -> None:
    kind = entry[:1]
    if kind == LINK:
        _copy_link(source, target, entry)
    elif kind != FOLDER:
        _copy_file(source, target, entry, modes)


def _copy_link(source: bytes, target: bytes, entry: bytes) -> None:
    pointed = read_link(source)
    if link_entry(pointed) != entry:
        raise SourceChangedError(os.fsdecode(source))
    os.symlink(pointed, target)


def _copy_file(source: bytes, target: bytes, entry: bytes, modes: Modes) -> None:
    with open_source(source) as original, open(target, "xb", buffering=0) as copy:
        copied = copy_content(original, copy)
        if copied != entry:
            raise SourceChangedError(os.fsdecode(source))
        mode = modes.executable if copied[:1] == EXECUTABLE else modes.file
        os.fchmod(copy.fileno(), mode)
        seen = os.fstat(original.fileno())
        os.utime(copy.fileno(), ns=(seen.st_atime_ns, seen.st_mtime_ns))


def _make_folders(tree: Path, paths: Collection[bytes], modes: Modes) -> None:
    top = os.fsencode(tree)
    for folder in sorted(parents(paths)):
        full = os.path.join(top, folder)
        if not os.path.isdir(full):
            os.mkdir(full)
            os.chmod(full, modes.folder)
