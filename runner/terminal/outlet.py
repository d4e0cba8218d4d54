"""Where a view writes: the bytes of a stream, as soon as they come, for as long as anybody reads."""

import errno
import os
from collections.abc import Mapping
from typing import BinaryIO, TextIO

from runner.terminal.github import harmless

_READER_IS_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)
_UNKNOWN_SIZE = os.terminal_size((80, 24))


class Outlet:
    """A stream as a place for bytes; when its reader goes away, the run goes on unseen."""

    def __init__(self, stream: TextIO, *, tame: bool = False) -> None:
        """A `tame` one writes text of ours so that GitHub's runner finds no command in it."""
        stream.flush()
        self._stream = stream
        self._tame = tame
        self._bytes: BinaryIO = stream.buffer

    def write(self, *parts: bytes | memoryview) -> None:
        """Writes all parts and flushes."""
        try:
            for part in parts:
                self._bytes.write(part)
            self._bytes.flush()
        except OSError as error:
            if error.errno not in _READER_IS_GONE:
                raise
            self._turn_away()

    def _turn_away(self) -> None:
        """Lets all that follows, and what is buffered, go nowhere; else it would fail at exit."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._bytes.fileno())
        os.close(nowhere)

    def text(self, text: str) -> bytes:
        """Text of ours in the encoding of the stream."""
        return (harmless(text) if self._tame else text).encode(
            self._stream.encoding or "utf-8", "replace"
        )

    def say(self, *lines: str) -> None:
        """Writes whole lines of text."""
        self.write(*(self.text(f"{line}\n") for line in lines))

    def width(self) -> int | None:
        """Columns of the terminal; None where it is none, and lines may be as long as they are."""
        return self.size().columns if self._stream.isatty() else None

    def size(self) -> os.terminal_size:
        """Columns and lines of the terminal; 80x24 where it does not say."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return _UNKNOWN_SIZE
        return size if size.columns and size.lines else _UNKNOWN_SIZE


def can_redraw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether lines that were written to the stream can be drawn again."""
    return stream.isatty() and environ.get("TERM", "") not in ("", "dumb")


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """NO_COLOR forbids, FORCE_COLOR asks for it; else a terminal that knows colours has them."""
    if environ.get("NO_COLOR"):
        return False
    if forced := environ.get("FORCE_COLOR", ""):
        return forced not in ("0", "false")
    return can_redraw(stream, environ)
