"""The lines at the bottom of the screen that are drawn again and again, and what goes above them.

The cursor is never hidden and always rests below the region: however the program ends, be it by
a signal that it cannot catch, the terminal is as it was.
"""

import re
from collections.abc import Iterable, Sequence

from runner.terminal.outlet import Outlet
from runner.terminal.words import cells

# A terminal that knows these shows all between them at once; others ignore them.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


class Region:
    """Draws lines in place of those it drew before. One thread may use it."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._drawn: Sequence[str] = ()

    def draw(self, lines: Sequence[str]) -> None:
        """Replaces what the region shows; no line may be wider than the screen."""
        if lines == self._drawn:
            return
        rows = "".join(f"{line}{_ERASE_LINE}\n" for line in lines)
        frame = f"{_BEGIN}{self._to_top()}{rows}{_ERASE_BELOW}{_END}"
        self._drawn = lines
        self._outlet.write(self._outlet.text(frame))

    def print(self, blocks: Iterable[bytes]) -> None:
        """Prints whole lines where the region was; the next `draw` puts it below them."""
        self._outlet.write(self._outlet.text(f"{self._to_top()}{_ERASE_BELOW}"))
        self._drawn = ()
        for block in blocks:
            self._outlet.write(block)

    def _to_top(self) -> str:
        """Moves the cursor to the first line; a screen that became narrower has wrapped some."""
        columns = self._outlet.size().columns
        rows = sum(max(1, -(-cells(_COLOUR.sub("", line)) // columns)) for line in self._drawn)
        return f"\x1b[{rows}A\r" if rows else "\r"
