"""The marks that a log carries at the start of a line, such as `##[group]`, as a reader wants them."""

import re
from collections.abc import Mapping

_RENDERED: Mapping[bytes, bytes] = {
    b"group": "\x1b[1m▸ %b\x1b[0m".encode(),
    b"section": b"\x1b[1m%b\x1b[0m",
    b"command": b"\x1b[36m$ %b\x1b[0m",
    b"error": b"\x1b[31mError:\x1b[0m %b",
    b"warning": b"\x1b[33mWarning:\x1b[0m %b",
    b"notice": b"\x1b[36mNotice:\x1b[0m %b",
    b"debug": b"\x1b[2mDebug: %b\x1b[0m",
}
_MARK = rb"##\[(endgroup|" + b"|".join(_RENDERED) + rb")(?: [^\]\n]*)?\]([^\n]*)(\n?)"
_AT_LINES = re.compile(rb"(?:\A|(?<=\n))" + _MARK)
_AFTER_LINES = re.compile(rb"(?<=\n)" + _MARK)
#: A line that is longer is shown as it is, not waited for.
_LONGEST = 4096


class Marks:
    """Renders the marks in the output of one step, block by block, with colours of its own."""

    def __init__(self) -> None:
        self._held = b""
        self._at_line = True

    def feed(self, block: bytes) -> bytes:
        """The block with marks rendered; a line that begins like one waits for its end."""
        data = self._held + block if self._held else block
        cut = self._cut(data)
        data, self._held = (data, b"") if cut == len(data) else (data[:cut], data[cut:])
        pattern = _AT_LINES if self._at_line else _AFTER_LINES
        if data:
            self._at_line = data.endswith(b"\n")
        # A single byte is found many times faster than three, and most output has none.
        return pattern.sub(_rendered, data) if b"#" in data and b"##[" in data else data

    def end(self) -> bytes:
        """What waited for the end of its line."""
        held, self._held, self._at_line = self._held, b"", True
        return _AT_LINES.sub(_rendered, held)

    def _cut(self, data: bytes) -> int:
        start = data.rfind(b"\n") + 1
        length = len(data) - start
        begins = start > 0 or self._at_line
        waits = begins and 0 < length <= _LONGEST and b"##[".startswith(data[start : start + 3])
        return start if waits else len(data)


def _rendered(found: re.Match[bytes]) -> bytes:
    kind, text, end = found.groups()
    if kind == b"endgroup":
        return b""
    # A carriage return belongs to the end of the line, behind our colours.
    return _RENDERED[kind] % text.removesuffix(b"\r") + end
