"""What an image is built from: a folder of the workspace without what its `.dockerignore` names."""

import io
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO

from runner.plugin import StepCall, StepFailedError

IGNORE = ".dockerignore"


@contextmanager
def packed(call: StepCall, folder: str, dockerfile: str) -> Iterator[IO[bytes]]:
    """A tar file; `dockerfile`, a path in it, is there though it were ignored."""
    is_ignored = _ignored(call, folder)
    kept = {IGNORE, posixpath.normpath(dockerfile)}
    with TemporaryFile() as file:
        names = _copy(call.pack(folder), file, lambda name: name in kept or not is_ignored(name))
        if posixpath.normpath(dockerfile) not in names:
            raise StepFailedError(f"there is no `{dockerfile}` in `{folder}`")
        file.seek(0)
        yield file


def _copy(blocks: Iterable[bytes], file: IO[bytes], wanted: Callable[[str], bool]) -> set[str]:
    """The entries of a tar stream that are wanted; returns their names."""
    names: set[str] = set()
    try:
        with (
            tarfile.open(fileobj=_Blocks(blocks), mode="r|") as source,
            tarfile.open(fileobj=file, mode="w") as target,
        ):
            for entry in source:
                name = posixpath.normpath(entry.name)
                if wanted(name):
                    names.add(name)
                    target.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
    except (OSError, tarfile.TarError) as error:
        raise StepFailedError(f"the context could not be packed: {error}") from error
    return names


def _ignored(call: StepCall, folder: str) -> Callable[[str], bool]:
    from docker.utils.build import PatternMatcher

    path = posixpath.join(folder, IGNORE)
    text = call.read_file(path).decode(errors="replace") if call.glob(path) else ""
    lines = (line.strip() for line in text.splitlines())
    patterns = [line for line in lines if line and not line.startswith("#")]
    if not patterns:
        return lambda _: False
    matcher = PatternMatcher(patterns)
    return lambda name: name != "." and bool(matcher.matches(name))


class _Blocks(io.RawIOBase):
    """Blocks of bytes as a file to read from."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
