"""Bytes that are too many for the database: logs, artifacts and caches, in files of one PIPE_STORAGE."""

import re
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.storage.artifacts import Artifact, ArtifactStore, NameTakenError, Origin
from runner.storage.blobs import BlobStore, CorruptBlobError
from runner.storage.caches import Cache, CacheScope, CacheStore, CacheTooLargeError
from runner.storage.logs import BLOCK, COALESCED_SECONDS, AttemptLog, LogChunk, LogRange, LogWriter

__all__ = [
    "BLOCK",
    "COALESCED_SECONDS",
    "Artifact",
    "ArtifactStore",
    "AttemptLog",
    "BlobStore",
    "Cache",
    "CacheScope",
    "CacheStore",
    "CacheTooLargeError",
    "CorruptBlobError",
    "LogChunk",
    "LogRange",
    "LogWriter",
    "NameTakenError",
    "Origin",
    "Sizes",
    "Storage",
]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on the disk; `stored` are those of artifacts and caches."""

    logs: int
    stored: int


class Storage:
    """The files of one PIPE_STORAGE."""

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        """Machines may use it at once; with `shared`, they also see output as it is written."""
        self.folder = folder
        self._shared = shared
        self.blobs = BlobStore(folder / "blobs")
        self.artifacts = ArtifactStore(folder / "artifacts", self.blobs)
        self.caches = CacheStore(folder / "caches", self.blobs)

    def log(self, run: int, job: str, attempt: int) -> AttemptLog:
        """The log of an attempt of the job with this key, such as `build (1)`."""
        # No job id holds a dot or @, so that no two keys share a file.
        name = re.sub(r"[^A-Za-z0-9_-]+", ".", job).strip(".")
        path = self.folder / "logs" / str(run) / f"{name}@{attempt}.log"
        return AttemptLog(path, self._shared)

    def runs(self) -> set[int]:
        """The runs that have logs or artifacts here."""
        folders = (self.folder / "logs", self.artifacts.folder)
        names = (each.name for folder in folders if folder.is_dir() for each in folder.iterdir())
        return {int(name) for name in names if name.isdecimal()}

    def forget(self, run: int) -> None:
        """Remove the logs and artifacts of a run; their blobs go with the next sweep."""
        for folder in (self.folder / "logs", self.artifacts.folder):
            shutil.rmtree(folder / str(run), ignore_errors=True)

    def sweep(self, now: float) -> int:
        """Remove expired artifacts, unused caches, and the blobs that nothing needs any more.

        Returns how many bytes that freed.
        """
        with self.blobs.locked():
            needed = self.artifacts.forget_expired(now) | self.caches.forget_unused(now)
            return self.blobs.sweep(needed, now)

    def tidy(self) -> None:
        """A sweep, unless the last one was not long ago and nothing was evicted since."""
        if self.blobs.is_sweep_due(now := time.time()):
            self.sweep(now)

    def sizes(self) -> Sizes:
        """How much there is."""
        return Sizes(_size(self.folder / "logs"), _size(self.folder / "blobs"))


def _size(folder: Path) -> int:
    return sum(_sizes(folder.rglob("*")))


def _sizes(files: Iterable[Path]) -> Iterable[int]:
    for file in files:
        with suppress(FileNotFoundError):  # others tidy up meanwhile
            if file.is_file():
                yield file.stat().st_size
