"""The log of each attempt of a job, in append-only files.

Beside a log stands its index of marks: where in the log output begins, whose it is and when it came.
It reaches to the next mark; so both files change at their ends only, and can be read meanwhile.
"""

import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from runner.errors import EnvironmentMissingError
from runner.storage.shared import AT_ONCE, look_again

#: Output of one step within this many seconds shares a mark, and so a time.
COALESCED_SECONDS = 0.1
#: The most bytes that reading a log holds in memory.
BLOCK = 1 << 20

_MARK = struct.Struct("<dqQ")


@dataclass(frozen=True, slots=True)
class LogRange:
    """`length` bytes from `offset` on came from `step`, the first of them at `time`.

    `step` is as in events: 0 and -1 are the box of the job; `time` is seconds since the epoch.
    """

    time: float
    step: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Some bytes of a log, with where they stand, who wrote them and when."""

    time: float
    step: int
    offset: int
    data: bytes


class LogWriter:
    """Appends to the log of an attempt, after what is there already. Threads may share it."""

    def __init__(self, log: "AttemptLog") -> None:
        """Raises EnvironmentMissingError when the files cannot be written, as `write` does."""
        self._path = log.path
        self._lock = threading.Lock()
        with _clear_errors(log.path):
            log.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._log = _open_to_append(log.path, log.shared)
            self._index = _open_to_append(log.index_path, log.shared)
        self._marked: tuple[int, float] | None = None

    def write(self, step: int, data: bytes, time: float) -> int:
        """Appends what `step` wrote at `time`, and returns the offset where it begins.

        Readers can see it when this returns.
        """
        with self._lock, _clear_errors(self._path):
            offset = os.lseek(self._log, 0, os.SEEK_END)
            # The mark before the bytes, so that no reader meets bytes that nobody owns.
            if data and not self._is_marked(step, time):
                self._mark(step, time, offset)
            _write_all(self._log, data)
            return offset

    def close(self) -> None:
        """What was written is kept; nothing can be written any more."""
        with self._lock:
            os.close(self._log)
            os.close(self._index)

    def _mark(self, step: int, time: float, offset: int) -> None:
        size = os.lseek(self._index, 0, os.SEEK_END)
        # A crash or a full disk may have left a part of a mark, which would displace all others.
        os.ftruncate(self._index, size - size % _MARK.size)
        _write_all(self._index, _MARK.pack(time, step, offset))
        self._marked = (step, time)

    def _is_marked(self, step: int, time: float) -> bool:
        if self._marked is None:
            return False
        last_step, since = self._marked
        return step == last_step and 0 <= time - since < COALESCED_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AttemptLog:
    """The log of one attempt of a job; one that never wrote anything reads as empty.

    What is written to a `shared` one can be read on every machine at once.
    """

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path = path
        self.shared = shared
        self.index_path = path.with_suffix(".index")

    def ranges(self, after: int = 0) -> list[LogRange]:
        """Who wrote which bytes from offset `after` on, in the order of the log."""
        # The size before the marks: all bytes that it counts have theirs by then.
        size = _size(self.path)
        return [
            LogRange(time, step, max(start, after), end - max(start, after))
            for (time, step, start), end in self._spans(size)
            if end > max(start, after)
        ]

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range that an event named; fewer where the log ends earlier."""
        with _opened(self.path) as log:
            if log is None:
                return b""
            log.seek(offset)
            return log.read(length)

    def chunks(self, after: int = 0, step: int | None = None) -> Iterator[LogChunk]:
        """The bytes from offset `after` on, or those of one step, in chunks of up to `BLOCK`."""
        ranges = [found for found in self.ranges(after) if step in (None, found.step)]
        if ranges:
            with self.path.open("rb") as log:
                for found in ranges:
                    yield from _chunks(log, found)

    def follow(
        self,
        is_finished: Callable[[], bool],
        wait: Callable[[], None],
        after: int = 0,
        step: int | None = None,
    ) -> Iterator[LogChunk]:
        """As `chunks`, and then what is added, until `is_finished` and all of it was read.

        `wait` is called when there is nothing new, and decides when to look again.
        """
        while True:
            # Asked before reading, so that what is written until the end is read as well.
            finished = is_finished()
            reached = after
            for chunk in self.chunks(reached):
                after = chunk.offset + len(chunk.data)
                if step in (None, chunk.step):
                    yield chunk
            if finished:
                return
            if after == reached:
                wait()

    def _spans(self, size: int) -> Iterator[tuple[tuple[float, int, int], int]]:
        """Each mark within the first `size` bytes of the log, with the offset where it ends."""
        marks = [mark for mark in self._marks() if mark[2] < size]
        ends = [start for _, _, start in marks[1:]]
        return zip(marks, [*ends, size], strict=False)

    def _marks(self) -> Iterator[tuple[float, int, int]]:
        with _opened(self.index_path) as index:
            content = index.read() if index else b""
        # The last one may be incomplete: after a crash, or because it is being written.
        return _MARK.iter_unpack(content[: len(content) // _MARK.size * _MARK.size])


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | None]:
    """A file that may not exist yet. Only opening it shows what another machine has written."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        look_again(path.parent)
        yield None
        return
    with file:
        yield file


def _size(path: Path) -> int:
    with _opened(path) as file:
        return os.fstat(file.fileno()).st_size if file else 0


def _chunks(log: BinaryIO, found: LogRange) -> Iterator[LogChunk]:
    log.seek(found.offset)
    offset, end = found.offset, found.offset + found.length
    while data := log.read(min(BLOCK, end - offset)):
        yield LogChunk(found.time, found.step, offset, data)
        offset += len(data)


def _open_to_append(path: Path, shared: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.open(path, flags | (AT_ONCE if shared else 0), 0o600)


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentMissingError(
            f"cannot write the log {path} ({error.strerror})",
            hint="free some space, or set PIPE_STORAGE or PIPE_HOME to another folder",
        ) from error
