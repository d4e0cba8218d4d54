"""Has the source changed: the times and sizes of its files against those seen last time."""

# Names in a tree are bytes and need not be text, which pathlib cannot hold.
# ruff: noqa: PTH114

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

from runner.project.listing import finish_listing, nested_paths, source_paths, start_listing
from runner.project.manifest import Manifest, content_id, parents, read_entry

#: A file changed this short before it was read may change again without its times showing it.
_RACY_NS = 2_000_000_000
_FIELDS = 4
_TRAITS = attrgetter("st_mtime_ns", "st_ctime_ns", "st_size", "st_mode")
_GONE = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Scan:
    """A tree as it was seen: four numbers a path (`mtime`, `ctime`, size, mode) in the manifest's
    order; `listed` is the hash of git's listing, "" when that alone does not name all paths.
    """

    id: str
    manifest: Manifest
    traits: array[int]
    listed: str


def scan(root: Path, exclude: Collection[Path], known: Scan | None) -> Scan:
    """The tree at `root` as it is now, without the folders `exclude`.

    Reads only files that differ from `known`, and returns `known` itself when nothing does.
    Raises SourceChangedError when a file changes under the eyes.
    """
    started = time.time_ns()
    listing = start_listing(root)
    # The files of last time are looked at while git lists: almost always they are the same.
    seen = _traits(root, known.manifest) if known and known.listed and listing else None
    listed = finish_listing(root, listing) if listing else None
    digest = hashlib.sha256(listed).hexdigest() if listed is not None else ""
    if known is None or seen is None or known.listed != digest:
        return _compare(root, _find(root, exclude, listed), digest, known, started)
    if seen == known.traits:
        return known
    found = _same_paths(root, known, seen) or _find(root, exclude, listed)
    return _compare(root, found, digest, known, started)


def save(scan: Scan, file: Path) -> None:
    """Write a scan (without its manifest, which its id names) to `file`, all or nothing."""
    head = json.dumps({"id": scan.id, "listed": scan.listed}).encode()
    part = file.with_name(f"tmp-{file.name}")
    part.write_bytes(head + b"\n" + scan.traits.tobytes())
    part.replace(file)


def saved_id(file: Path) -> str:
    """The id of the scan in `file`, or "" when there is none."""
    try:
        with file.open("rb") as text:
            return str(json.loads(text.readline())["id"])
    except (OSError, ValueError, KeyError):
        return ""


def load(file: Path, manifest: Manifest) -> Scan | None:
    """The scan in `file`, whose id names `manifest`; None when the two do not fit."""
    head, _, numbers = file.read_bytes().partition(b"\n")
    said = json.loads(head)
    traits = array("q")
    if len(numbers) != len(manifest) * _FIELDS * traits.itemsize:
        return None
    traits.frombytes(numbers)
    return Scan(said["id"], manifest, traits, said["listed"])


@dataclass(frozen=True, slots=True)
class _Found:
    """Paths with their traits; `whole` when they are exactly what git listed."""

    paths: Sequence[bytes]
    traits: array[int]
    whole: bool


def _same_paths(root: Path, known: Scan, traits: array[int]) -> _Found | None:
    paths = list(known.manifest)
    is_plain = all(stat.S_ISREG(mode) or stat.S_ISLNK(mode) for mode in traits[3::_FIELDS])
    return _Found(paths, traits, True) if is_plain and not _linked(root, paths) else None


def _find(root: Path, exclude: Collection[Path], listed: bytes | None) -> _Found:
    paths = source_paths(root, listed)
    while True:
        order = sorted(_inside(root, exclude, paths))
        traits = _traits(root, order)
        folders = {
            path
            for path, mode in zip(order, traits[3::_FIELDS], strict=True)
            if stat.S_ISDIR(mode) and not path.endswith(b"/")
        }
        if not folders:
            return _existing(order, traits, listed)
        paths.difference_update(folders)
        paths.update(*(nested_paths(root, path) for path in folders))


def _inside(root: Path, exclude: Collection[Path], paths: Collection[bytes]) -> Iterable[bytes]:
    outside = _linked(root, paths)
    outside |= {
        os.fsencode(each.relative_to(root)) for each in exclude if each.is_relative_to(root)
    }
    if not outside:
        return paths
    prefixes = tuple(folder + b"/" for folder in outside)
    return (path for path in paths if not path.startswith(prefixes))


def _linked(root: Path, paths: Collection[bytes]) -> set[bytes]:
    # What lies beyond a symbolic link is not in the tree, whatever git's index still says.
    top = os.fsencode(root) + b"/"
    return {folder for folder in parents(paths) if os.path.islink(top + folder)}


def _existing(paths: Sequence[bytes], traits: array[int], listed: bytes | None) -> _Found:
    keep = [
        index
        for index, mode in enumerate(traits[3::_FIELDS])
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)
    ]
    kept = chain.from_iterable(traits[_FIELDS * i : _FIELDS * (i + 1)] for i in keep)
    names = [paths[index] for index in keep]
    whole = listed is not None and set(listed.split(b"\0")) - {b""} == set(names)
    return _Found(names, array("q", kept), whole)


def _traits(root: Path, paths: Iterable[bytes]) -> array[int]:
    top = os.fsencode(root) + b"/"
    full = [top + path for path in paths]
    try:
        return array("q", chain.from_iterable(map(_TRAITS, map(os.lstat, full))))
    except OSError:
        return array("q", chain.from_iterable(map(_traits_or_gone, full)))


def _traits_or_gone(full: bytes) -> tuple[int, ...]:
    try:
        return tuple(_TRAITS(os.lstat(full)))
    except OSError:
        return _GONE


def _compare(root: Path, found: _Found, listed: str, known: Scan | None, started: int) -> Scan:
    before = _by_path(known)
    traits = array("q", found.traits)
    manifest: dict[bytes, bytes] = {}
    for index, (path, own) in enumerate(zip(found.paths, _records(traits), strict=True)):
        entry, seen = before.get(path, (b"", b""))
        manifest[path] = (
            entry if seen == own else read_entry(root, path, traits[_FIELDS * index + 3])
        )
        if seen != own and max(traits[_FIELDS * index : _FIELDS * index + 2]) > started - _RACY_NS:
            traits[_FIELDS * index] = 0
    return Scan(content_id(manifest), manifest, traits, listed if found.whole else "")


def _by_path(known: Scan | None) -> dict[bytes, tuple[bytes, bytes]]:
    if known is None:
        return {}
    pairs = zip(known.manifest.values(), _records(known.traits), strict=True)
    return dict(zip(known.manifest, pairs, strict=True))


def _records(traits: array[int]) -> Iterator[bytes]:
    numbers, size = traits.tobytes(), _FIELDS * traits.itemsize
    return (numbers[start : start + size] for start in range(0, len(numbers), size))
