"""The git objects of a queued run, kept so that the checkout they came from may change or go.

Objects never change, and their names say what they are. So keeping them is giving their files a
second name in a folder of ours: no bytes on the same disk, and nothing twice on another one. A bundle
is the list of those that one snapshot needs; what is in no list is removed.
"""

# Of many folders only the names are wanted.
# ruff: noqa: PTH208

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import EnvironmentMissingError
from runner.project.durable import sync_files
from runner.project.shelf import Hold, Shelf

_BUNDLE = "obj-"
_LIST = ".list"
_FOLDER = "objects"
_INCOMING = "incoming-"
_ATTEMPTS = 5
_LOOSE = re.compile(r"[0-9a-f]{38}|[0-9a-f]{62}")
_PACKED = re.compile(r"pack-([0-9a-f]{40}|[0-9a-f]{64})\.(pack|idx|rev|promisor)")
_LENGTHS = {64: "sha256", 62: "sha256"}
#: The two folders are on different disks, or the files belong to somebody else, or there are no links.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Objects that are kept: in `folders`, one for each that they came from, while `hold` lasts."""

    name: str
    folders: tuple[Path, ...]
    hold: Hold


@dataclass(frozen=True, slots=True)
class _Part:
    """What there is in one object folder, and where it is to be kept."""

    source: Path
    target: Path
    files: frozenset[str]


class _NoLinksError(Exception):
    """Files there can only be copied."""


def is_bundle(name: str) -> bool:
    """Whether a name on a shelf is that of a bundle."""
    return name.startswith(_BUNDLE)


def bundle_exists(shelf: Shelf, name: str) -> bool:
    """Whether the list of a bundle is there."""
    return _list_file(shelf, name).is_file()


def keep_objects(shelf: Shelf, sources: Sequence[Path], *, copy: bool) -> Bundle | None:
    """Keep all objects in those folders; None when that needs copies and `copy` is false.

    Raises EnvironmentMissingError when a folder never comes to rest.
    """
    for _ in range(_ATTEMPTS):
        try:
            parts = [_part(shelf, number, source) for number, source in enumerate(sources)]
            return _bring(shelf, parts, copy=copy)
        except FileNotFoundError:
            continue  # git has packed them meanwhile; they are in another file now
        except _NoLinksError:
            return None
    raise EnvironmentMissingError(
        f"the objects of git in {sources[0]} are gone, or change faster than they can be kept",
        hint="submit the run again when git is done there",
    )


def sweep_objects(shelf: Shelf) -> None:
    """Remove what no bundle needs any more; inside `Shelf.locked`."""
    lists = shelf.folder.glob(f"{_BUNDLE}*{_LIST}")
    needed = {line for file in lists for line in file.read_text().splitlines()}
    for folder in (shelf.folder / _FOLDER).glob("*"):
        for name in _objects(folder):
            if f"{folder.name}/{name}" not in needed:
                (folder / name).unlink()
        for left in folder.glob(f"{_INCOMING}*"):
            if not bundle_exists(shelf, left.name.removeprefix(_INCOMING).partition(".")[0]):
                shutil.rmtree(left, ignore_errors=True)


def _part(shelf: Shelf, number: int, source: Path) -> _Part:
    files = frozenset(_objects(source))
    name = next(iter(files), "").rpartition("/")[2]
    length = len(name.removeprefix("pack-").partition(".")[0])
    # A pack of another format would stop git from reading any.
    kind = _LENGTHS.get(length, "sha1")
    return _Part(source, shelf.folder / _FOLDER / f"{kind}-{number}", files)


def _objects(folder: Path) -> Iterator[str]:
    """The files of objects, loose ones first: git packs those before it removes them."""
    names = os.listdir(folder)
    for fan in names:
        if len(fan) == 2 and re.fullmatch("[0-9a-f]{2}", fan):
            loose = os.listdir(folder / fan)
            yield from (f"{fan}/{name}" for name in loose if _LOOSE.fullmatch(name))
    if "pack" in names:
        packed = os.listdir(folder / "pack")
        yield from (f"pack/{name}" for name in packed if _PACKED.fullmatch(name))


def _bring(shelf: Shelf, parts: Sequence[_Part], *, copy: bool) -> Bundle:
    lines = sorted(f"{part.target.name}/{name}" for part in parts for name in part.files)
    text = "".join(f"{line}\n" for line in lines)
    name = _BUNDLE + hashlib.sha256(text.encode()).hexdigest()[:32]
    with shelf.locked():
        shelf.add(name)
        _write_list(shelf, name, text)
        hold = shelf.hold(name)
    try:
        if not shelf.is_durable(name):
            for part in parts:
                _fill(part, name, copy=copy)
            shelf.make_durable([name])
    except BaseException:
        hold.release()
        raise
    return Bundle(name, tuple(part.target for part in parts), hold)


def _write_list(shelf: Shelf, name: str, text: str) -> None:
    """From here on nobody removes what is in the list."""
    with shelf.temporary() as folder:
        (folder / "list").write_text(text)
        (folder / "list").replace(_list_file(shelf, name))


def _list_file(shelf: Shelf, name: str) -> Path:
    return shelf.folder / f"{name}{_LIST}"


def _fill(part: _Part, bundle: str, *, copy: bool) -> None:
    part.target.mkdir(mode=0o755, parents=True, exist_ok=True)
    # git looks for an index; by then what belongs to it has to be there.
    missing = sorted(part.files.difference(_objects(part.target)), key=_index_last)
    for below in {name.partition("/")[0] for name in missing}:
        (part.target / below).mkdir(mode=0o755, exist_ok=True)
    unlinked = [name for name in missing if not _link(part.source / name, part.target / name)]
    if unlinked and not copy:
        raise _NoLinksError
    _copy(part, bundle, unlinked)


def _index_last(name: str) -> tuple[bool, str]:
    return name.endswith(".idx"), name


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(os.path.realpath(source), target)
    except FileExistsError:
        pass  # somebody else brought it
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def _copy(part: _Part, bundle: str, names: Sequence[str]) -> None:
    """Copies get their names when their bytes are on the disk, or a loss of power emptied them."""
    if not names:
        return
    incoming = part.target / f"{_INCOMING}{bundle}.{os.urandom(4).hex()}"
    incoming.mkdir(mode=0o700)
    try:
        for number, name in enumerate(names):
            shutil.copyfile(part.source / name, incoming / str(number))
            (incoming / str(number)).chmod(0o444)
        sync_files(incoming)
        for number, name in enumerate(names):
            (incoming / str(number)).replace(part.target / name)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
