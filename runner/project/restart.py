"""After a restart of the machine: what a power cut may have emptied is read again, once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import InvalidInputError
from runner.project.layer import is_whole_layer
from runner.project.manifest import Manifest, SourceChangedError, read_entry
from runner.project.shelf import Shelf
from runner.project.update import Flavour, read_manifest

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def trusted(shelf: Shelf, flavours: tuple[Flavour, ...]) -> Iterator[None]:
    """Alone on the shelf, with nothing on it but folders that hold what their names say.

    Folders are renamed into place without waiting for the disk. Only a machine that stops can
    leave such a folder with empty files, so the first user after a restart reads them all.
    """
    with shelf.locked():
        boot, known = _boot(), shelf.folder / "boot"
        if not known.is_file() or known.read_text() != boot:
            _remove_broken(shelf, flavours)
            known.write_text(boot)
        yield


def _boot() -> str:
    return _BOOT_ID.read_text() if _BOOT_ID.is_file() else ""


def _remove_broken(shelf: Shelf, flavours: tuple[Flavour, ...]) -> None:
    for name in shelf.names():
        if name.startswith("git-"):
            _remove_unless(is_whole_layer(shelf.folder / name), shelf, name)
            continue
        manifest = read_manifest(shelf, name)
        for flavour in flavours:
            folder = flavour.folder(shelf, name)
            if folder.is_dir():
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
