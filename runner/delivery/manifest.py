"""What a snapshot's folder holds: written last, so that a folder without one is no snapshot."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: Grows when a field changes its meaning or goes.
VERSION = 1
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class File:
    """One file, as it was when the snapshot was made."""

    sha256: str
    size: int
    mode: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one plugin has kept, in the folder `name`. Its settings hold secrets by name."""

    name: str
    snapshot: str
    settings: Mapping[str, Any]
    holds_data: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All parts of a snapshot, and what is known of it besides."""

    id: str
    parts: tuple[Part, ...]
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(file.size for part in self.parts for file in part.files.values())


def measure(folder: Path) -> dict[str, File]:
    """All files below a folder, by their path in it; they are on the disk when this returns."""
    found = {}
    for path in _paths(folder):
        found[path.relative_to(folder).as_posix()] = _file(path, sync=True)
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_folder(each)
    return found


def wrong(part: Part, folder: Path) -> Iterator[str]:
    """What of a part is not as it was kept."""
    there = {path.relative_to(folder).as_posix(): path for path in _paths(folder)}
    for name, expected in part.files.items():
        if name not in there:
            yield f"{part.name}/{name} is gone"
        elif _file(there[name]) != expected:
            yield f"{part.name}/{name} was changed"
    for name in sorted(there.keys() - part.files.keys()):
        yield f"{part.name}/{name} was not there when it was kept"


def write(folder: Path, manifest: Manifest) -> None:
    """Put it into a folder that is complete otherwise."""
    data = {"schema": VERSION, **asdict(manifest)}
    fresh = folder / f"{NAME}.new"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o600)
    fresh.replace(folder / NAME)
    sync_folder(folder)


def read(folder: Path) -> Manifest | None:
    """The manifest there; None where none is, or none that can be read."""
    try:
        data = json.loads((folder / NAME).read_text(encoding="utf-8"))
        parts = tuple(
            Part(**{**part, "files": {name: File(**file) for name, file in part["files"].items()}})
            for part in data["parts"]
        )
        return Manifest(data["id"], parts, data["known"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def sync_folder(folder: Path) -> None:
    """Its names are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _file(path: Path, *, sync: bool = False) -> File:
    """Links are not followed: a plugin has no reason to leave any."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
        if sync:
            os.fsync(descriptor)
    return File(digest.hexdigest(), size, mode)
