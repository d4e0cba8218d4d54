"""Immutable bytes named by their SHA-256, each stored once, shared by processes.

A blob is written to a temporary file, reaches the disk, and takes its name only with the lock, by
whoever writes down a record that names it. So a record never lacks its blob, and a blob that no
record names can be removed by anyone who holds the lock.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from runner.errors import EnvironmentMissingError
from runner.storage.shared import (
    clear_errors,
    is_gone,
    look_again,
    make_private,
    open_locked,
    sync_folder,
)
from runner.storage.tar_read import Piece

BLOCK = 1 << 20
#: Kept free on the disk: what else is there has to go on.
RESERVE = 64 << 20
#: Seconds between two sweeps that nobody asked for.
SWEEP_INTERVAL = 3600.0


class CorruptBlobError(EnvironmentMissingError):
    """The bytes on the disk are not those that were stored."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes."""

    digest: str
    size: int


@dataclass(slots=True)
class Draft:
    """Bytes on the disk that have no name yet."""

    blob: Blob
    part: Path
    target: Path

    def keep(self) -> None:
        """Give them their name; inside `BlobStore.locked`. Same bytes there already are replaced."""
        self.target.parent.mkdir(mode=0o700, exist_ok=True)
        self.part.replace(self.target)
        sync_folder(self.target.parent)


class BlobStore:
    """The blobs in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = folder / "parts"
        self._swept = folder / "swept"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in this store, across threads and processes."""
        with clear_errors():
            make_private(self._parts)
            lock = open_locked(self._folder / "lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    @contextmanager
    def draft(self, pieces: Iterable[Piece]) -> Iterator[Draft]:
        """Write the pieces down; they are gone afterwards unless they were kept.

        Raises EnvironmentMissingError when the disk does not take them.
        """
        part = self._parts / secrets.token_hex(8)
        with self.locked(), clear_errors():
            # The lock on it says that somebody still writes; it ends with the process.
            descriptor = open_locked(part, fcntl.LOCK_EX)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                blob = _write(file, pieces)
                yield Draft(blob, part, self.path(blob.digest))
        finally:
            part.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob of that digest lies."""
        return self._folder / digest[:2] / digest

    def room(self) -> int:
        """The bytes that may be added."""
        with clear_errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return max(0, shutil.disk_usage(self._folder).free - RESERVE)

    def read(self, digest: str) -> Iterator[bytes]:
        """The bytes, in blocks. Raises CorruptBlobError, at the end, when they are others."""
        try:
            yield from self._read(digest)
        except OSError as error:
            if not is_gone(error):
                raise
            raise CorruptBlobError(f"the stored file {digest[:12]} is missing") from None

    def _read(self, digest: str) -> Iterator[bytes]:
        with self.path(digest).open("rb", buffering=0) as file, _Hash() as found:
            while block := file.read(BLOCK):
                found.update(block)
                yield block
            if found.hexdigest() != digest:
                raise CorruptBlobError(
                    f"the stored file {digest[:12]} is damaged: its bytes have changed on the disk",
                    hint=f"remove {self.path(digest)} and store it again",
                )

    def is_sweep_due(self, now: float) -> bool:
        """Whether the last one was long ago, or something was evicted since."""
        try:
            return now - self._swept.stat().st_mtime > SWEEP_INTERVAL
        except FileNotFoundError:
            return True

    def want_sweep(self) -> None:
        """There are blobs now that nothing names."""
        self._swept.unlink(missing_ok=True)

    def sweep(self, named: Collection[str], now: float) -> int:
        """Remove all but the named, and what dead processes left; inside `locked`.

        Returns how many bytes that freed.
        """
        self._swept.touch(mode=0o600)
        os.utime(self._swept, (now, now))
        for folder in self._folder.glob("??"):
            look_again(folder)
        unnamed = [path for path in self._folder.glob("??/[!.]*") if path.name not in named]
        abandoned = [path for path in self._parts.glob("[!.]*") if _is_abandoned(path)]
        return sum(_remove(path) for path in (*unnamed, *abandoned))


class _Hash:
    """SHA-256 in a thread of its own, one block behind, so that it costs no time on two cores."""

    def __init__(self) -> None:
        from concurrent.futures import Future, ThreadPoolExecutor

        self._hash = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._pending: Future[None] | None = None

    def update(self, block: Piece) -> None:
        self._finish()
        self._pending = self._pool.submit(self._hash.update, block)

    def hexdigest(self) -> str:
        self._finish()
        return self._hash.hexdigest()

    def _finish(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def _write(file: BinaryIO, pieces: Iterable[Piece]) -> Blob:
    size = 0
    with _Hash() as found:
        for block in _gathered(pieces):
            found.update(block)
            size += len(block)
            with clear_errors():
                _write_all(file, block)
        with clear_errors():
            os.fsync(file.fileno())
        return Blob(found.hexdigest(), size)


def _write_all(file: BinaryIO, block: Piece) -> None:
    left = memoryview(block)
    while left:
        left = left[file.write(left) :]


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same bytes in blocks that are worth a call; large pieces pass as they are."""
    small: list[Piece] = []
    size = 0
    for piece in pieces:
        small.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield small[0] if len(small) == 1 else b"".join(small)
            small, size = [], 0
    yield b"".join(small)


def _is_abandoned(part: Path) -> bool:
    with suppress(FileNotFoundError, BlockingIOError):
        os.close(open_locked(part, fcntl.LOCK_EX | fcntl.LOCK_NB))
        return True
    return False


def _remove(path: Path) -> int:
    size = path.stat().st_size
    path.unlink()
    return size
