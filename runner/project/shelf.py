"""Folders named by their content: complete or absent, and kept while somebody needs them.

Machines may share a shelf. So nobody asks whether a process lives: locks end with whoever has them.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.project.durable import sync_files, sync_folder

_TEMPORARY = "tmp-"
_LOCK = ".lock"
_PIN = ".pin-"
_DURABLE = ".durable"


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock on one name, which ends with `release` or with the process."""

    descriptor: int

    def release(self) -> None:
        """Let go; call it once."""
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The kept folders of one project, all in `folder`.

    A name owns everything that is called `NAME` or starts with `NAME.` or `NAME-`. Names may be
    held by any number of processes, and pinned across processes; neither may be claimed then.
    Every method but `locked` and those for what is durable expects the caller to be inside `locked`.
    """

    folder: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone on this shelf; waits for others. What a dead process left half made is removed."""
        hold = _lock(self.folder / "lock", fcntl.LOCK_EX)
        try:
            # A network file system then forgets which names it saw here before we had the lock.
            os.utime(self.folder)
            for leftover in self._entries():
                if leftover.startswith(_TEMPORARY):
                    _remove(self.folder / leftover)
            yield
        finally:
            hold.release()

    def add(self, name: str) -> None:
        """Make a name known before its folders are, so that they are found if their maker dies."""
        self._lock_file(name).touch(mode=0o600)

    def hold(self, name: str) -> Hold:
        """Keep `name` from being claimed until the hold is released; it becomes the newest."""
        hold = _lock(self._lock_file(name), fcntl.LOCK_SH)
        os.utime(self._lock_file(name))
        return hold

    def claim(self, name: str) -> Hold | None:
        """The sole right to take `name` apart, or None while it is held or pinned."""
        if name in self.pinned():
            return None
        try:
            return _lock(self._lock_file(name), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None

    def names(self) -> list[str]:
        """Every name on the shelf, the one held last first."""
        names = [entry.removesuffix(_LOCK) for entry in self._entries() if entry.endswith(_LOCK)]
        return sorted(names, key=lambda name: _age(self._lock_file(name)), reverse=True)

    def pin(self, pin: str, names: Sequence[str]) -> None:
        """Keep `names` until `unpin(pin)`, whatever process lives."""
        for name in names:
            self._pin_file(name, pin).touch(mode=0o600)
        sync_folder(self.folder)

    def unpin(self, pin: str) -> None:
        """Take a pin out; one that does not exist is no error."""
        for entry in self._entries():
            if entry.endswith(f"{_PIN}{pin}"):
                (self.folder / entry).unlink()

    def pinned(self) -> set[str]:
        """Every name that some pin keeps."""
        return {entry.rpartition(_PIN)[0] for entry in self._entries() if _PIN in entry}

    def pins(self) -> dict[str, float]:
        """Every pin, with the time when it was put in."""
        files = [self.folder / entry for entry in self._entries() if _PIN in entry]
        return {file.name.rpartition(_PIN)[2]: file.stat().st_mtime for file in files}

    def is_durable(self, folder: str) -> bool:
        """Whether a loss of power cannot take anything of that folder."""
        return self._durable_file(folder).exists()

    def make_durable(self, folders: Sequence[str]) -> None:
        """Wait until those folders, which the caller holds, are on the disk."""
        fresh = [folder for folder in folders if not self.is_durable(folder)]
        if fresh:
            sync_files(self.folder)
            for folder in fresh:
                self._durable_file(folder).touch(mode=0o600)

    def forget_durable(self, folder: str) -> None:
        """That folder is about to be made, whatever stood there before."""
        self._durable_file(folder).unlink(missing_ok=True)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A new empty folder, which is removed afterwards unless it was renamed."""
        folder = self.folder / f"{_TEMPORARY}{os.urandom(8).hex()}"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            if folder.is_dir():
                _remove(folder)

    def discard(self, name: str) -> bool:
        """Remove all that `name` owns; False, and nothing done, while it is held or pinned."""
        claim = self.claim(name)
        if claim is None:
            return False
        try:
            for owned in (*self.folder.glob(f"{name}-*"), *self.folder.glob(f"{name}.*")):
                self._retire(owned)
            self._retire(self.folder / name)
        finally:
            claim.release()
        return True

    def remove(self, folder: str) -> None:
        """Remove one folder of the shelf, whoever needs it."""
        self._retire(self.folder / folder)

    def _retire(self, path: Path) -> None:
        if path.is_dir():
            with self.temporary() as aside:
                path.replace(aside)
        else:
            path.unlink(missing_ok=True)

    def _entries(self) -> list[str]:
        return os.listdir(self.folder)  # noqa: PTH208  many pins make this long

    def _lock_file(self, name: str) -> Path:
        return self.folder / f"{name}{_LOCK}"

    def _pin_file(self, name: str, pin: str) -> Path:
        return self.folder / f"{name}{_PIN}{pin}"

    def _durable_file(self, folder: str) -> Path:
        return self.folder / f"{folder}{_DURABLE}"


def _lock(file: Path, operation: int) -> Hold:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation)
    except BaseException:
        os.close(descriptor)
        raise
    return Hold(descriptor)


def _age(file: Path) -> int:
    return file.stat().st_mtime_ns


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
