"""What a source tree consists of: each path with its kind and the hash of its content."""

# Names in a tree are bytes and need not be text, which pathlib cannot hold.
# ruff: noqa: PTH115, PTH118

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from runner.errors import InvalidInputError

#: path -> kind (`f` file, `x` executable, `l` symbolic link, `d` folder) + hash in hex, by path.
Manifest = Mapping[bytes, bytes]

FILE, EXECUTABLE, LINK, FOLDER = b"f", b"x", b"l", b"d"
_BLOCK = 1 << 20
#: A file may be swapped for a link or a pipe while we look; neither may be followed or block us.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SourceChangedError(Exception):
    """A file changed while it was read; the path says which."""


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest as text, which is the same for the same tree."""
    return b"\0".join(chain.from_iterable(sorted(manifest.items())))


def from_bytes(text: bytes) -> Manifest:
    """The manifest that `to_bytes` wrote, in the order of its paths."""
    parts = text.split(b"\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))


def content_id(manifest: Manifest) -> str:
    """The name of a tree: 32 hex digits that depend on its paths, kinds and contents."""
    return hashlib.sha256(to_bytes(manifest)).hexdigest()[:32]


def parents(paths: Iterable[bytes]) -> set[bytes]:
    """Every folder that one of `paths` is in, at any depth; `a/` counts as in `a`."""
    found: set[bytes] = set()
    level = {path.rpartition(b"/")[0] for path in paths} - {b""}
    while level:
        found |= level
        level = {path.rpartition(b"/")[0] for path in level} - {b""} - found
    return found


def read_entry(root: Path, path: bytes, mode: int) -> bytes:
    """The manifest's entry for one path that `lstat` said has `mode`.

    Raises SourceChangedError when the file is something else by now.
    """
    if stat.S_ISDIR(mode):
        return FOLDER
    full = os.path.join(os.fsencode(root), path)
    if stat.S_ISLNK(mode):
        return link_entry(read_link(full))
    with open_source(full) as file:
        return _kind(file) + _digest(file)


def open_source(full: bytes) -> BinaryIO:
    """The regular file at `full`, opened to be read.

    Raises SourceChangedError when it is gone or no regular file, InvalidInputError when it may
    not be read.
    """
    try:
        file = os.fdopen(os.open(full, _OPEN_FLAGS), "rb", buffering=0)
    except PermissionError as error:
        raise unreadable(full) from error
    except OSError as error:
        raise SourceChangedError(os.fsdecode(full)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise SourceChangedError(os.fsdecode(full))
    return file


def unreadable(full: bytes) -> InvalidInputError:
    """The error for a file of the source that this user may not read."""
    return InvalidInputError(
        f"cannot read {os.fsdecode(full)}: Permission denied",
        hint="a run works on a copy of the source: make it readable, or ignore it",
    )


def read_link(full: bytes) -> bytes:
    """Where the symbolic link at `full` points; raises SourceChangedError when it is none."""
    try:
        return os.readlink(full)
    except OSError as error:
        raise SourceChangedError(os.fsdecode(full)) from error


def link_entry(target: bytes) -> bytes:
    """The entry of a symbolic link to `target`."""
    return LINK + hashlib.sha256(target).hexdigest().encode()


def copy_content(source: BinaryIO, target: BinaryIO) -> bytes:
    """Copy `source` to `target` in blocks; the entry of exactly what was copied."""
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
        target.write(block)
    return _kind(source) + digest.hexdigest().encode()


def _kind(file: BinaryIO) -> bytes:
    return EXECUTABLE if os.fstat(file.fileno()).st_mode & stat.S_IXUSR else FILE


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest().encode()
