"""Files that processes share, of several machines too when the folder is on a network file system.

Such a file system remembers which names a folder has, for up to a minute, and says so even to who
holds the lock; it takes its time to pass on what was written; and a file that another machine has
removed cannot be read to its end. `look_again`, `AT_ONCE` and `is_gone` are the answers.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.errors import EnvironmentMissingError

#: For `os.open`: every machine sees what was written when the call that writes returns.
AT_ONCE = os.O_DSYNC
#: What is called so was removed while somebody had it open; the file system itself cleans it up.
_REMOVED = ".nfs"


@contextmanager
def clear_errors() -> Iterator[None]:
    """Say what the disk has against us. Raises EnvironmentMissingError."""
    try:
        yield
    except OSError as error:
        raise EnvironmentMissingError(
            f"cannot store it: {error.strerror or error}",
            hint="free some space, or set PIPE_STORAGE or PIPE_HOME to a folder on a larger disk",
        ) from error


def is_gone(error: OSError) -> bool:
    """Whether the file does not exist, or not any more."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


def look_again(folder: Path) -> None:
    """Forget which names the folder had; what others did there before is seen from here on."""
    with suppress(OSError):  # it need not exist, nor be ours to write
        os.utime(folder)


def leftovers(folder: Path, pattern: str) -> Iterator[Path]:
    """Files that `write_file` did not finish."""
    return (each for each in folder.glob(pattern) if not each.name.startswith(_REMOVED))


def write_file(path: Path, data: bytes) -> None:
    """Create or replace a file: all of it or nothing, also after a loss of power."""
    with clear_errors():
        make_private(path.parent)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            part.touch(mode=0o600, exist_ok=False)
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names in it survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(folder: Path) -> None:
    """A folder and the one it is in; those above exist, or are nobody's secret."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_locked(path: Path, operation: int) -> int:
    """A descriptor whose lock ends with it, or with the process, on whatever machine."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
