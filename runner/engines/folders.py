"""The folder that every box has on this host, and those that a crash left behind.

It lies under `PIPE_HOME/boxes` and is locked for as long as its runner lives; containers and
processes of the box carry its name. A folder that nobody holds is therefore a leftover.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MEMORY = "/dev/shm"
#: Bytes that memory has to have free to be used.
_ROOM = 256 << 20


@dataclass(slots=True)
class BoxFolder:
    """A box's folder on this host, held by an open lock."""

    path: Path
    lock: int
    #: Where its control folder is to be, or is: in memory where there is room.
    control: Path

    @classmethod
    def create(cls, home: Path, prefix: str = "") -> "BoxFolder":
        """A new one, empty; `prefix` begins its name."""
        parent = boxes(home)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = parent / (prefix + secrets.token_hex(8))
        lock = _lock(Path(f"{path}.lock"))
        path.mkdir(mode=0o700)
        memory = memory_folder()
        if memory and _has_room(memory):
            return cls(path, lock, memory / path.name)
        return cls(path, lock, path / "control")

    @property
    def label(self) -> str:
        return self.path.name

    def keep(self) -> None:
        """Leave folder and containers to the user, until `pipe doctor --clean`."""
        (self.path / "kept").touch()
        self.release()

    def release(self) -> None:
        os.close(self.lock)

    def remove(self) -> bool:
        """Remove it and let it go; False, and still held, when only root can."""
        if not all([remove_tree(self.control), remove_tree(self.path)]):
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """The folder is gone: drop its lock too."""
        self.path.with_suffix(".lock").unlink(missing_ok=True)
        self.release()


def boxes(home: Path) -> Path:
    """Where the folders of boxes are."""
    return home / "boxes"


def memory_folder() -> Path | None:
    """A folder of this user's own in memory, where a step's small files cost no disk write."""
    if not os.access(_MEMORY, os.W_OK):
        return None
    folder = Path(f"{_MEMORY}/pipe-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    # Anybody could have made it first, and then read what is in it.
    is_ours = status.st_uid == os.geteuid() and stat.S_ISDIR(status.st_mode)
    return folder if is_ours and stat.S_IMODE(status.st_mode) == 0o700 else None


def _has_room(memory: Path) -> bool:
    space = os.statvfs(memory)
    return space.f_bavail * space.f_frsize > _ROOM


def _control_of(path: Path) -> Path:
    memory = memory_folder()
    if memory and (memory / path.name).exists():
        return memory / path.name
    return path / "control"


def leftovers(home: Path, *, prefix: str = "", kept: bool = False) -> Iterator[BoxFolder]:
    """Folders whose runner is gone, locked now for the caller; those kept on purpose only if asked."""
    for lock_file in boxes(home).glob(f"{prefix}*.lock"):
        path = lock_file.with_suffix("")
        if (path / "kept").exists() and not kept:
            continue
        try:
            lock = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another runner removed it meanwhile
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            yield BoxFolder(path, lock, _control_of(path))


def _lock(file: Path) -> int:
    while True:
        lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return lock
        # Between the two calls a cleaner took it for a leftover, and removed it.
        os.close(lock)


def remove_tree(path: Path) -> bool:
    """Remove a folder of whatever modes; False when something in it belongs to another user."""
    deadline = time.monotonic() + 2
    shutil.rmtree(path, ignore_errors=True)
    while path.exists():
        _open_up(path)
        shutil.rmtree(path, ignore_errors=True)
        if path.exists() and (os.geteuid() != 0 or time.monotonic() > deadline):
            return False
        if path.exists():
            time.sleep(0.05)
    return True


def _open_up(top: Path) -> None:
    """Give the user all rights to folders that lack them, such as read-only module caches."""
    _allow(top)
    for folder, names, _ in os.walk(top):
        for name in names:
            _allow(Path(folder, name))


def _allow(folder: Path) -> None:
    if not folder.is_symlink():
        with contextlib.suppress(PermissionError):
            folder.chmod(0o700)
