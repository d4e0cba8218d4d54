"""After a restart of the machine: what a power cut may have emptied is read again, once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import InvalidInputError
from runner.project.layer import is_whole_layer
from runner.project.manifest import Manifest, SourceChangedError, read_entry
from runner.project.objects import is_bundle
from runner.project.shelf import Shelf
from runner.project.update import Flavour, read_manifest

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Of so many boots, of this machine and others, it is remembered that they have looked.
_MACHINES = 63


@contextmanager
def trusted(shelf: Shelf, flavours: tuple[Flavour, ...]) -> Iterator[None]:
    """Alone on the shelf, with nothing on it but folders that hold what their names say.

    Folders are renamed into place without waiting for the disk. Only a machine that stops can
    leave such a folder with empty files, so the first user after a restart reads them all, but
    for those that were made durable. Each machine that shares the shelf does so by itself.
    """
    with shelf.locked():
        boot, file = _boot(), shelf.folder / "boot"
        known = file.read_text().split() if file.is_file() else []
        if boot not in known:
            _remove_broken(shelf, flavours)
            file.write_text("\n".join([*known[-_MACHINES:], boot]))
        yield


def _boot() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else "unknown"


def _remove_broken(shelf: Shelf, flavours: tuple[Flavour, ...]) -> None:
    for name in shelf.names():
        if is_bundle(name):
            continue  # used only when it is durable
        if name.startswith("git-"):
            if not shelf.is_durable(name):
                _remove_unless(is_whole_layer(shelf.folder / name), shelf, name)
            continue
        manifest = read_manifest(shelf, name)
        for flavour in flavours:
            folder = flavour.folder(shelf, name)
            if folder.is_dir() and not shelf.is_durable(folder.name):
                _remove_unless(_is_whole_tree(folder, manifest), shelf, folder.name)


def _remove_unless(whole: bool, shelf: Shelf, folder: str) -> None:
    if not whole:
        shelf.remove(folder)


def _is_whole_tree(tree: Path, manifest: Manifest) -> bool:
    top = os.fsencode(tree) + b"/"
    try:
        return all(
            read_entry(tree, path, os.lstat(top + path).st_mode) == entry
            for path, entry in manifest.items()
        )
    except (OSError, SourceChangedError, InvalidInputError):
        return False
