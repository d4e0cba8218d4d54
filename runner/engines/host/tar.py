"""A file or folder of this machine as a tar stream, block by block."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20
RECORD = 512


def tar_stream(path: Path) -> Iterator[bytes]:
    """The stream; names in it begin with the last part of `path`. Links are not followed.

    Raises OSError for what cannot be read, in the middle if need be. What vanishes meanwhile is
    left out, and so are sockets.
    """
    with tarfile.TarFile(fileobj=io.BytesIO(), mode="w") as tar:
        for file, name in _below(path, path.name):
            try:
                entry = tar.gettarinfo(file, name)
                content = _open(file) if entry and entry.isreg() else None
            except FileNotFoundError:
                continue
            if entry:
                yield entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            if content:
                with content:
                    yield from _content(content, entry.size)
    yield bytes(2 * RECORD)


def _below(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    yield path, name
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _below(child, f"{name}/{child.name}")


def _open(file: Path) -> BinaryIO:
    # A step may put a link or a named pipe in its place at any time.
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _content(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, as announced, though the file may change; then up to a whole record."""
    left = size
    while left and (block := file.read(min(left, BLOCK))):
        left -= len(block)
        yield block
    yield bytes(left + -size % RECORD)
