"""Step output without what could repaint the screen: colours stay at most, all else is dropped."""

import re

RESET = b"\x1b[0m"
#: More of a sequence than this is no sequence, and is not waited for.
_LONGEST = 4096
#: More colours than these in force at once mean nothing to a terminal.
_MOST_ACTIVE = 8

_SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[PX^_\]][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])?"
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[PX^_\]][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_RESETS = re.compile(rb"\x1b\[0*m")
_COLOUR_OR_LINE = re.compile(rb"\x1b\[[0-9;:]*m|[\n\r]")
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\x1b"))
#: The controls of ISO 6429 that UTF-8 writes in two bytes; some terminals obey them.
_LONG_CONTROLS = re.compile(rb"\xc2+[\x80-\x9f]")


class Cleaner:
    """Cleans the output of one step, block by block; blocks may end anywhere.

    Lines come out self-contained: colours in force are reset before a line ends, and taken up
    again in the next, so that something else can stand between two lines.
    """

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._held = b""
        self._last = b""
        self._active: list[bytes] = []
        self._resumes = False

    def feed(self, block: bytes) -> bytes:
        """What can be shown of the block and of what was held back before it."""
        data = self._without_unfinished(self._held + block if self._held else block)
        if b"\x1b" in data:
            data = _SEQUENCE.sub(self._kept, data)
        # Looking for each is faster than translating, and there are hardly ever any.
        if any(control in data for control in _CONTROLS):
            data = data.translate(None, _CONTROLS)
        data = self._without_last(self._last + data if self._last else data)
        if b"\xc2" in data:
            data = _LONG_CONTROLS.sub(b"", data)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        return self._contained(data) if self._colour else data

    def end(self) -> bytes:
        """What remains to be shown after the last block."""
        is_open = self._active and not self._resumes
        self._active, self._resumes, self._held, self._last = [], False, b"", b""
        return RESET if is_open else b""

    def _without_unfinished(self, data: bytes) -> bytes:
        """Holds back a sequence at the end of which more may come."""
        self._held = b""
        if b"\x1b" not in data[-_LONGEST:]:
            return data
        if not (found := _UNFINISHED.search(data, max(0, len(data) - _LONGEST))):
            return data
        self._held = found[0]
        return data[: found.start()]

    def _without_last(self, data: bytes) -> bytes:
        """Holds back what may turn out to be the first half of CRLF, or of a long control."""
        kept = data.rstrip(b"\r\xc2")
        self._last = data[len(kept) :]
        if len(self._last) <= _LONGEST:
            return kept
        self._last = b""
        return data

    def _kept(self, found: re.Match[bytes]) -> bytes:
        return found[0] if self._colour and _COLOUR.fullmatch(found[0]) else b""

    def _contained(self, data: bytes) -> bytes:
        if not data or (not self._active and b"\x1b" not in data):
            return data
        resumed = b"".join(self._active) if self._resumes else b""
        contained = resumed + _COLOUR_OR_LINE.sub(self._contain, data)
        # A line that has not begun shall not seem to, so its colours come with its first byte.
        self._resumes = bool(self._active) and data.endswith(b"\n")
        return contained.removesuffix(b"".join(self._active)) if self._resumes else contained

    def _contain(self, found: re.Match[bytes]) -> bytes:
        token = found[0]
        if token in b"\n\r":
            return RESET + token + b"".join(self._active) if self._active else token
        if _RESETS.fullmatch(token):
            self._active = []
        elif token.startswith(b"\x1b[0;"):
            self._active = [token]
        else:
            self._active = [*self._active, token][-_MOST_ACTIVE:]
        return token
