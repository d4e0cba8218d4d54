"""The control folder of a box: scripts and command files of its steps, on this host or by archive.

What comes back from a box is hostile: a step can replace a file by a link to anything. Everything
is therefore opened relative to a held descriptor of the step's folder, without following links,
and must be a regular file of bounded size.
"""

import io
import os
import secrets
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from docker import APIClient

INSIDE = "/github/pipe"
#: A command file may hold this many bytes; more is refused.
LIMIT = 32 << 20
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031


class RefusedFile(Exception):  # noqa: N818 - it is a verdict on a file, not an error of ours
    """A file that a step left is not something we read; the text says why."""


class Folder(Protocol):
    """One step's folder."""

    @property
    def inside(self) -> str: ...

    def put(self, files: Mapping[str, bytes]) -> None: ...

    def collect(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | RefusedFile]]: ...

    def close(self) -> None: ...


class HostFolder:
    """A step's folder that the box sees through a bind mount."""

    def __init__(self, parent: int) -> None:
        self._name = secrets.token_hex(8)
        os.mkdir(self._name, dir_fd=parent)
        self._fd = os.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        os.fchmod(self._fd, 0o777)

    @property
    def inside(self) -> str:
        return f"{INSIDE}/{self._name}"

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

    def fifo(self, name: str) -> int:
        """A named pipe for the step's output, open for reading and not blocking."""
        os.mkfifo(name, dir_fd=self._fd)
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=self._fd)
        os.chmod(name, 0o666, dir_fd=self._fd)
        return fd

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


def widen(fd: int) -> None:
    """Let a pipe hold more, so that a step waits less for its reader; kernels may refuse."""
    import fcntl

    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return


class HostControl:
    """The control folder as a folder of this host: 0777, under a parent that only its owner enters."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        path.chmod(0o777)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        for name in ("temp", "tools"):
            (path / name).mkdir()
            (path / name).chmod(0o777)

    def put(self, name: str, data: bytes) -> None:
        (self.path / name).write_bytes(data)

    def fifo(self, name: str) -> int:
        os.mkfifo(self.path / name)
        (self.path / name).chmod(0o666)
        return os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK)

    def folder(self) -> HostFolder:
        return HostFolder(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class ArchiveFolder:
    """A step's folder in a box whose files this host cannot see: everything goes by tar archive."""

    def __init__(self, api: "APIClient", container: str) -> None:
        self._api = api
        self._container = container
        self._name = secrets.token_hex(8)

    @property
    def inside(self) -> str:
        return f"{INSIDE}/{self._name}"

    def put(self, files: Mapping[str, bytes]) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            folder = tarfile.TarInfo(self._name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
            for name, data in files.items():
                entry = tarfile.TarInfo(f"{self._name}/{name}")
                entry.size, entry.mode = len(data), 0o666
                tar.addfile(entry, io.BytesIO(data))
        self._api.put_archive(self._container, INSIDE, archive.getvalue())

    def collect(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | RefusedFile]]:
        wanted = set(names)
        found = dict(self._read(wanted)) if wanted else {}
        for name in wanted:
            yield name, found.get(name, b"")

    def _read(self, wanted: set[str]) -> Iterator[tuple[str, bytes | RefusedFile]]:
        blocks, _ = self._api.get_archive(self._container, self.inside)
        with tarfile.open(fileobj=BlockReader(blocks), mode="r|") as tar:
            for entry in tar:
                name = entry.name.partition("/")[2]
                if name not in wanted:
                    continue
                if not entry.isreg():
                    yield name, RefusedFile("it is no longer a regular file")
                elif entry.size > LIMIT:
                    yield name, RefusedFile(f"it holds {entry.size} bytes, more than {LIMIT}")
                else:
                    file = tar.extractfile(entry)
                    yield name, file.read() if file else b""

    def close(self) -> None:
        return


class BlockReader(io.RawIOBase):
    """Blocks of bytes as a file to read from."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            have += len(block)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
