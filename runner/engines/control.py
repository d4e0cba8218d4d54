"""The control folder of a box on this host: scripts and command files of its steps.

What comes back from a box is hostile: a step can replace a file by a link to anything. Everything
is therefore opened relative to a held descriptor of the step's folder, without following links,
and must be a regular file of bounded size.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from runner.engines.box import EngineError

#: A command file may hold this many bytes; more is refused.
LIMIT = 32 << 20


class RefusedFile(Exception):  # noqa: N818 - it is a verdict on a file, not an error of ours
    """A file that a step left is not something we read; the text says why."""


class Folder(Protocol):
    """One step's folder."""

    @property
    def inside(self) -> str: ...

    def put(self, files: Mapping[str, bytes]) -> None: ...

    def collect(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | RefusedFile]]: ...

    def close(self) -> None: ...


def read_back(folder: Folder, names: Iterable[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files that a step left, and why others were refused."""
    files: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for name, content in folder.collect(names):
        if isinstance(content, bytes):
            files[name] = content
        else:
            refused[name] = str(content)
    return files, refused


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raises EngineError for an OSError: an earlier step can have ruined the folder of a step."""
    try:
        yield
    except OSError as error:
        raise EngineError(
            "lost", f"the folder of the step's files cannot be used: {error.strerror or error}"
        ) from error


class HostFolder:
    """A step's folder that the box sees as it is, or through a bind mount."""

    def __init__(self, parent: int, inside: str) -> None:
        name = secrets.token_hex(8)
        self.inside = f"{inside}/{name}"
        os.mkdir(name, dir_fd=parent)
        self._fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        os.fchmod(self._fd, 0o777)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Create the files; every user of the box may write to them."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        for name, data in files.items():
            fd = os.open(name, flags, 0o666, dir_fd=self._fd)
            try:
                os.fchmod(fd, 0o666)
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)

    def fifo(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A named pipe that every user of the box may open; open here, and not blocking."""
        os.mkfifo(name, dir_fd=self._fd)
        fd = os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=self._fd)
        os.chmod(name, 0o666, dir_fd=self._fd)
        return fd

    def reopen(self, name: str) -> int:
        """The writing end of a named pipe that is open here already; it does not block."""
        return os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=self._fd)

    def has_pipes(self, *names: str) -> bool:
        """Whether named pipes of these names are still there."""
        try:
            found = [os.stat(name, dir_fd=self._fd, follow_symlinks=False) for name in names]
        except FileNotFoundError:
            return False
        return all(stat.S_ISFIFO(each.st_mode) for each in found)

    def collect(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | RefusedFile]]:
        """What the step left in each file; a file that it removed counts as empty."""
        for name in names:
            try:
                yield name, self._read(name)
            except FileNotFoundError:
                yield name, b""
            except (RefusedFile, OSError) as error:
                yield name, RefusedFile(str(error))

    def _read(self, name: str) -> bytes:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
        try:
            fd = os.open(name, flags, dir_fd=self._fd)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise RefusedFile(f"it is no longer a regular file ({error.strerror})") from error
        try:
            return _read_regular(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self._fd)


def _read_regular(fd: int) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFile("it is no longer a regular file")
    if status.st_size > LIMIT:
        raise RefusedFile(f"it holds {status.st_size} bytes, more than {LIMIT}")
    if status.st_size == 0:
        return b""
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read(LIMIT)


def make_open(folder: Path) -> None:
    """A new folder that every user of the box may write to."""
    folder.mkdir()
    folder.chmod(0o777)


class HostControl:
    """The control folder as a folder of this host: 0777, under a parent that only its owner enters."""

    def __init__(self, path: Path, inside: str) -> None:
        """`inside` is how the box names the folder that is `path` here."""
        self.path = path
        self._inside = inside
        make_open(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def put(self, name: str, data: bytes) -> None:
        (self.path / name).write_bytes(data)

    def fifo(self, name: str) -> int:
        os.mkfifo(self.path / name)
        (self.path / name).chmod(0o666)
        return os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK)

    def folder(self) -> HostFolder:
        return HostFolder(self._fd, self._inside)

    def close(self) -> None:
        os.close(self._fd)
