"""The caches of projects: for each a record that names the blobs of its parts."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from runner.errors import EnvironmentMissingError
from runner.storage.artifacts import DAY
from runner.storage.blobs import BlobStore
from runner.storage.records import records, records_below, write_record
from runner.storage.shared import leftovers
from runner.storage.tar_read import Piece

#: As on GitHub: how much one project may keep, and for how long something that nobody uses.
MOST_BYTES = 10 << 30
UNUSED_DAYS = 7


class CacheTooLargeError(EnvironmentMissingError):
    """The project may not keep as much."""


@dataclass(frozen=True, slots=True)
class Part:
    """The files of a cache below one folder of the box: `workspace`, `home` or `root`."""

    base: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Cache:
    """Saved files. `version` stands for the paths; `ref` is the branch whose job saved it."""

    project: str
    key: str
    version: str
    ref: str
    parts: tuple[Part, ...]
    created: float

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class CacheScope:
    """What a job may see: caches of its project, of these branches, its own first."""

    project: str
    refs: tuple[str, ...]
    version: str


class CacheStore:
    """The caches in one folder. When a record was last used is the time of its file."""

    def __init__(self, folder: Path, blobs: BlobStore, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self._blobs = blobs
        self._most_bytes = most_bytes

    def find(self, scope: CacheScope, key: str, prefixes: Sequence[str]) -> Cache | None:
        """The cache of that key or, failing that, the newest whose key begins with a prefix.

        In each branch in turn: the key itself, then what begins with it, then the prefixes.
        """
        found = [
            (path, cache)
            for path, cache in self._of(scope.project)
            if cache.version == scope.version
        ]
        for ref in scope.refs:
            here = [each for each in found if each[1].ref == ref]
            if (best := _best(here, key, prefixes)) is not None:
                path, cache = best
                with suppress(FileNotFoundError):  # evicted meanwhile
                    os.utime(path)
                return cache
        return None

    def has(self, scope: CacheScope, key: str) -> bool:
        """Whether a job of the first branch could not save this key, because it is there."""
        return any(
            (cache.key, cache.version, cache.ref) == (key, scope.version, scope.refs[0])
            for _, cache in self._of(scope.project)
        )

    def save(
        self, scope: CacheScope, key: str, parts: Iterable[tuple[str, Iterable[Piece]]]
    ) -> Cache | None:
        """Keep archives, each with the folder of the box that it belongs to.

        None when somebody saved the key first: a cache is never changed. Raises
        CacheTooLargeError, and EnvironmentMissingError when the disk does not take it.
        """
        with ExitStack() as drafts:
            written = [(base, drafts.enter_context(self._blobs.draft(of))) for base, of in parts]
            kept = tuple(Part(base, each.blob.digest, each.blob.size) for base, each in written)
            cache = Cache(scope.project, key, scope.version, scope.refs[0], kept, time.time())
            self._check_size(cache)
            with self._blobs.locked():
                if self.has(scope, key):
                    return None
                for _, draft in written:
                    draft.keep()
                name = f"{secrets.token_hex(16)}.json"
                write_record(self._project(scope.project) / name, asdict(cache))
                self._evict(scope.project)
        return cache

    def check(self, cache: Cache) -> None:
        """Raises CorruptBlobError when it is not what was saved; reads all of it."""
        for part in cache.parts:
            for _ in self.read(part):
                pass

    def read(self, part: Part) -> Iterator[bytes]:
        """An archive. Raises CorruptBlobError, at the end, when it is not what was saved."""
        return self._blobs.read(part.digest)

    def forget(self, cache: Cache) -> None:
        """Remove one that cannot be read, so that its key can be saved anew."""
        with self._blobs.locked():
            for path, each in self._of(cache.project):
                if each == cache:
                    path.unlink(missing_ok=True)
            self._blobs.want_sweep()

    def forget_unused(self, now: float) -> set[str]:
        """Remove what nobody used for long; returns the digests still needed. Inside the lock."""
        needed: set[str] = set()
        for part in leftovers(self.folder, "*/.*"):
            part.unlink(missing_ok=True)  # whoever wrote it is dead: we have the lock
        for path, cache in _all(records_below(self.folder)):
            if now - path.stat().st_mtime > UNUSED_DAYS * DAY:
                path.unlink()
            else:
                needed |= {part.digest for part in cache.parts}
        return needed

    def _check_size(self, cache: Cache) -> None:
        if cache.size > self._most_bytes:
            raise CacheTooLargeError(
                f"the cache has {cache.size} bytes, and a project may keep {self._most_bytes}"
            )

    def _evict(self, project: str) -> None:
        """Make the project keep its limit: those go whose last use is longest ago."""
        kept = sorted(self._of(project), key=lambda each: each[0].stat().st_mtime, reverse=True)
        size = 0
        for path, cache in kept:
            size += cache.size
            if size > self._most_bytes:
                path.unlink()
                self._blobs.want_sweep()

    def _of(self, project: str) -> Iterator[tuple[Path, Cache]]:
        return _all(records(self._project(project)))

    def _project(self, project: str) -> Path:
        return self.folder / hashlib.sha256(os.fsencode(project)).hexdigest()[:32]


def _best(
    found: Sequence[tuple[Path, Cache]], key: str, prefixes: Sequence[str]
) -> tuple[Path, Cache] | None:
    exact = next((each for each in found if each[1].key == key), None)
    if exact is not None:
        return exact
    for prefix in (key, *prefixes):
        matching = [each for each in found if each[1].key.startswith(prefix)]
        if matching:
            return max(matching, key=lambda each: each[1].created)
    return None


def _all(found: Iterable[tuple[Path, dict[str, Any]]]) -> Iterator[tuple[Path, Cache]]:
    for path, values in found:
        cache = _cache(values)
        if cache is not None:
            yield path, cache


def _cache(values: dict[str, Any]) -> Cache | None:
    """None for a record of a version that kept other things."""
    if values.keys() != {each.name for each in fields(Cache)}:
        return None
    return Cache(**{**values, "parts": tuple(Part(**part) for part in values["parts"])})
