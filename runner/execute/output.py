"""What a step prints, on its way to the log: commands are taken out, and secrets are masked."""

import re
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from runner.execute.commands import BLANKS, COMMANDS, Command, parse_command
from runner.secrets import MaskedStream, Masker

#: A longer line is plain output, whatever it begins with.
LONGEST_COMMAND = 4 * 1024 * 1024
#: So is one with more blanks in front.
MOST_BLANKS = 64 * 1024

_COLONS = b"::"
_BRACKET = b"##["
_BLANKS = BLANKS.encode()
_LINE_ENDS = b"\n\r"
#: Looking back from the colons is what makes this fast.
_SPACED_COLONS = re.compile(rb"::(?<=[\n\r \t\v\f]::)")


class OutputFilter:
    """Takes a step's output as it comes, cut anywhere, and writes it masked and without commands.

    `command` carries out a command and gives back what to print in place of its line (the end of
    the line follows), or None for nothing. `names` tells which commands count at the moment. Where
    text stands in front of `##[`, that text is printed and only the rest of the line replaced.

    Output goes on at once. Only what may turn out to be a command or a secret waits for more.
    """

    def __init__(
        self,
        masker: Masker,
        write: Callable[[bytes], object],
        command: Callable[[Command], bytes | None],
        names: Callable[[], Collection[str]] = lambda: COMMANDS,
    ) -> None:
        #: An engine may pass output on in a thread of its own.
        self._lock = threading.RLock()
        self._stream = MaskedStream(masker)
        self._write = write
        self._command = command
        self._names = names
        #: The end of what came, if it may be a command; it certainly looks like one if `_opened`.
        self._held = bytearray()
        self._opened = False
        #: A part of the current line went on already.
        self._in_line = False
        #: The current line is too long for a command.
        self._too_long = False

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the output."""
        with self._lock:
            if self._opened and not self._ends_held_line(data):
                self._hold(data)
            else:
                self._sift(self._take_held() + data)

    def finish(self) -> None:
        """The output has ended: nothing waits any longer."""
        with self._lock:
            self._sift(self._take_held(), final=True)
            self._emit(self._stream.finish())

    def _ends_held_line(self, data: bytes) -> bool:
        # A carriage return at the very end may be the first half of a line's end.
        return b"\n" in data or b"\r" in data[:-1] or self._held.endswith(b"\r")

    def _hold(self, data: bytes) -> None:
        self._held += data
        self._opened = True
        # One more than a command may have: its line's end may have begun.
        if len(self._held) > LONGEST_COMMAND + 1:
            self._pass(self._take_held())
            self._in_line = self._too_long = True

    def _take_held(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        self._opened = False
        return held

    def _sift(self, data: bytes, final: bool = False) -> None:
        """Passes `data` on but for its commands, and holds back what may become one."""
        passed, reached = 0, self._end_of_long_line(data)
        for start, end in _openings(data, reached, self._in_line):
            is_whole_line = _begins_line(data, start, self._in_line)
            if not final and not _is_complete(data, end):
                self._pass(data[passed:start])
                self._in_line = not is_whole_line
                self._hold(data[start:])
                return
            reached = _next_line(data, end)
            if command := self._parse(data[start:end]):
                self._pass(data[passed:start])
                self._carry_out(command, data[end:reached], is_whole_line)
                passed = reached
        self._pass_rest(data, passed, reached, final)

    def _end_of_long_line(self, data: bytes) -> int:
        """How much of `data` belongs to a line that is too long for a command."""
        if not self._too_long:
            return 0
        end = _line_end(data, 0)
        self._too_long = end == len(data)
        return _next_line(data, end)

    def _parse(self, line: bytes) -> Command | None:
        if len(line) > LONGEST_COMMAND:
            return None
        command = parse_command(line.decode(errors="replace"), self._names())
        return command and replace(command, raw=line)

    def _carry_out(self, command: Command, line_end: bytes, is_whole_line: bool) -> None:
        shown = self._command(command)
        if shown is not None:
            self._pass(shown + line_end)
        elif not is_whole_line:
            self._pass(line_end)

    def _pass_rest(self, data: bytes, passed: int, reached: int, final: bool) -> None:
        """Passes on what is left, but for a last line that may become a command."""
        line = _line_start(data, reached, len(data))
        in_line = self._in_line and line == 0
        may_wait = not (final or self._too_long)
        cut = len(data) - (_undecided(data, line, in_line) if may_wait else 0)
        self._pass(data[passed:cut])
        self._held += data[cut:]
        self._in_line = in_line or cut > line

    def _pass(self, data: bytes) -> None:
        self._emit(self._stream.feed(data))

    def _emit(self, masked: bytes) -> None:
        if masked:
            self._write(masked)


def _openings(data: bytes, line: int, in_line: bool) -> Iterator[tuple[int, int]]:
    """Where a command may begin, and where its line ends, for each line from `line` on.

    Blanks in front are part of it. `in_line`: what stands before `data` belongs to its first line.
    """
    bracket = -1
    while line < len(data):
        if bracket < line:
            bracket = _find(data, _BRACKET, line)
        start = _leading_colons(data, line, bracket, in_line)
        if start < 0:
            if bracket == len(data):
                return
            start = _leading_blanks(data, line, bracket, in_line)
            start = bracket if start < 0 else start
        end = _line_end(data, start)
        yield start, end
        line = _next_line(data, end)


def _leading_colons(data: bytes, line: int, limit: int, in_line: bool) -> int:
    """Where the first line begins that has nothing but blanks before `::`; -1 if there is none."""
    at = _first_colons(data, line, limit)
    while at < limit:
        start = _leading_blanks(data, line, at, in_line)
        if start >= 0:
            return start
        line = _next_line(data, _line_end(data, at))
        at = _first_colons(data, line, limit)
    return -1


def _first_colons(data: bytes, line: int, limit: int) -> int:
    """The first `::` from `line` on that does not follow other text; `limit` if there is none."""
    if data.startswith(_COLONS, line):
        return line
    # Much output has no colon, which is quickly seen.
    at = data.find(b":", line, limit)
    found = _SPACED_COLONS.search(data, at, limit) if at >= 0 else None
    return found.start() if found else limit


def _leading_blanks(data: bytes, floor: int, at: int, in_line: bool) -> int:
    """Where the line of `at` begins if only blanks stand before `at`, else -1."""
    line = _line_start(data, floor, at)
    is_blank = at - line <= MOST_BLANKS and not data[line:at].strip(_BLANKS)
    return line if is_blank and _begins_line(data, line, in_line) else -1


def _undecided(data: bytes, line: int, in_line: bool) -> int:
    """How many bytes at the end of `data`, whose last line begins at `line`, may open a command."""
    if not in_line:
        start = data[line:].lstrip(_BLANKS)
        is_near = len(data) - len(start) - line <= MOST_BLANKS
        if is_near and (_COLONS.startswith(start) or _BRACKET.startswith(start)):
            return len(data) - line
    return next((size for size in (2, 1) if data.endswith(_BRACKET[:size])), 0)


def _find(data: bytes, what: bytes, start: int, limit: int | None = None) -> int:
    """Where `what` begins in `data[start:limit]`, or `limit` (else the length) if it does not."""
    end = len(data) if limit is None else limit
    # Looking for a single byte is many times faster, and mostly settles it.
    at = data.find(what[:1], start, end)
    at = data.find(what, at, end) if at >= 0 else at
    return at if at >= 0 else end


def _begins_line(data: bytes, at: int, in_line: bool) -> bool:
    return data[at - 1] in _LINE_ENDS if at else not in_line


def _line_start(data: bytes, floor: int, at: int) -> int:
    """Where the line of `at` begins, but not before `floor`."""
    newline = max(data.rfind(b"\n", floor, at) + 1, floor)
    return max(data.rfind(b"\r", newline, at) + 1, newline)


def _line_end(data: bytes, at: int) -> int:
    """Where the line of `at` ends, which is the length of `data` if it does not."""
    newline = _find(data, b"\n", at)
    return _find(data, b"\r", at, newline)


def _is_complete(data: bytes, end: int) -> bool:
    """Whether the end of a line at `end` has come; a carriage return may be the first half of it."""
    return end < len(data) - data.endswith(b"\r")


def _next_line(data: bytes, end: int) -> int:
    """Where the line after the one that ends at `end` begins."""
    return end + 2 if data.startswith(b"\r\n", end) else min(end + 1, len(data))
