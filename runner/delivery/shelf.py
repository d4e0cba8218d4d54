"""The folder of this machine with the snapshots of an application in an environment."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.delivery import manifest
from runner.delivery.manifest import Manifest

#: A folder that begins so is being made, or taken away: without its maker it is debris.
_UNFINISHED = "."


@dataclass(frozen=True, slots=True)
class Shelf:
    """One folder a snapshot, called as its id."""

    folder: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else of this machine adds or removes meanwhile; what dead ones left is gone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._sweep()
            yield
        finally:
            os.close(descriptor)

    def begin(self, id_: str) -> Path:
        """An empty folder for one that is being made."""
        folder = self.folder / f"{_UNFINISHED}{id_}"
        folder.mkdir(mode=0o700)
        return folder

    def finish(self, folder: Path, made: Manifest) -> None:
        """It is complete: from now on it is a snapshot."""
        manifest.write(folder, made)
        folder.rename(self.folder / made.id)
        manifest.sync_folder(self.folder)

    def read(self, id_: str) -> Manifest | None:
        """The manifest of one; None when there is none here."""
        return manifest.read(self.folder / id_)

    def part(self, id_: str, name: str) -> Path:
        """The folder of one part."""
        return self.folder / id_ / name

    def remove(self, id_: str) -> None:
        """At once: what is left of it when the process dies is no snapshot."""
        gone = self.folder / f"{_UNFINISHED}gone-{id_}"
        try:
            (self.folder / id_).rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def _sweep(self) -> None:
        for each in self.folder.iterdir():
            is_finished = (each / manifest.NAME).exists() and not each.name.startswith(_UNFINISHED)
            if each.is_dir() and not is_finished:
                shutil.rmtree(each, ignore_errors=True)
