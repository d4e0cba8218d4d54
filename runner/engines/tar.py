"""Tar streams block by block: made from a folder of this machine, read, and rewritten on the way."""

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

BLOCK = 1 << 20
RECORD = 512

Change = Callable[[tarfile.TarInfo], tarfile.TarInfo | None]


def tar_stream(path: Path, name: str = "", change: Change = lambda entry: entry) -> Iterator[bytes]:
    """The file or folder `path`; names begin with `name`, else with the last part of `path`.

    Links are not followed. Raises OSError for what cannot be read, in the middle if need be. What
    vanishes meanwhile is left out, and so are sockets, and what `change` gives None for.
    """
    yield from packed(_below(path, name or path.name), change)


def packed(
    files: Iterable[tuple[Path, str]], change: Change = lambda entry: entry
) -> Iterator[bytes]:
    """As `tar_stream`, of these files under these names; of folders nothing but themselves."""
    with tarfile.TarFile(fileobj=io.BytesIO(), mode="w") as tar:
        for file, name in files:
            try:
                entry = tar.gettarinfo(file, name)
                content = _open(file) if entry and entry.isreg() else None
            except FileNotFoundError:
                continue
            changed = change(entry) if entry else None
            if changed:
                yield _header(changed)
            if content:
                with content:
                    yield from _content(content, entry.size) if changed else ()
    yield bytes(2 * RECORD)


def rewritten(
    blocks: Iterable[bytes], change: Change = lambda entry: entry, *, several: bool = False
) -> Iterator[bytes]:
    """The stream with its entries changed, and without those that `change` gives None for.

    `several` makes one of archives that follow each other. Raises tarfile.TarError for what is not
    a tar stream.
    """
    yield from joined([(blocks, change)], several=several)


def joined(
    streams: Iterable[tuple[Iterable[bytes], Change]], *, several: bool = False
) -> Iterator[bytes]:
    """As `rewritten`, one stream made of many."""
    for blocks, change in streams:
        reader = BlockReader(blocks)
        with tarfile.open(fileobj=reader, mode="r|", ignore_zeros=several) as tar:
            yield from _changed(tar, change)
    yield bytes(2 * RECORD)


def _changed(tar: tarfile.TarFile, change: Change) -> Iterator[bytes]:
    while entry := tar.next():
        cast(Any, tar).members.clear()  # they would fill the memory
        content = tar.extractfile(entry) if entry.isreg() else None
        changed = change(entry)
        if changed:
            yield _header(changed)
            if content:
                yield from _content(content, changed.size)


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """A user of this machine is somebody else, or nobody, in a container."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


class BlockReader(io.RawIOBase):
    """Blocks of bytes as a file to read from."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            have += len(block)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _below(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    yield path, name
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _below(child, f"{name}/{child.name}")


def _open(file: Path) -> IO[bytes]:
    # A step may put a link or a named pipe in its place at any time.
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _content(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, as announced, though the file may change; then up to a whole record."""
    left = size
    while left and (block := file.read(min(left, BLOCK))):
        left -= len(block)
        yield block
    yield bytes(left + -size % RECORD)
