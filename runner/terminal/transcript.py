"""What a step printed, from the log to the screen: in bounded blocks, rendered and made harmless."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain

from runner.events import OutputWritten
from runner.terminal.escapes import Cleaner
from runner.terminal.marks import Marks

Read = Callable[[OutputWritten], bytes]

#: The most bytes that are read at once.
BLOCK = 1 << 20


class Transcript:
    """Turns the output of one step into what a person should see, block by block."""

    def __init__(self, *, colour: bool) -> None:
        self._marks = Marks()
        self._cleaner = Cleaner(colour=colour)

    def feed(self, block: bytes) -> bytes:
        """What can be shown after this block; a few bytes may wait for the next."""
        return self._cleaner.feed(self._marks.feed(block))

    def end(self) -> bytes:
        """What is left to show after the last block."""
        return self._cleaner.feed(self._marks.end()) + self._cleaner.end()


def ranges(output: OutputWritten) -> Iterator[OutputWritten]:
    """The same bytes in ranges of at most `BLOCK`."""
    end = output.offset + output.length
    for start in range(output.offset, end, BLOCK):
        yield replace(output, offset=start, length=min(BLOCK, end - start))


def shown(read: Read, outputs: Iterable[OutputWritten], *, colour: bool) -> Iterator[bytes]:
    """All output of one step as it is to be shown, ending with a newline if there is any."""
    transcript = Transcript(colour=colour)
    last = b"\n"
    for found in chain.from_iterable(map(ranges, outputs)):
        if part := transcript.feed(read(found)):
            yield (last := part)
    if part := transcript.end():
        yield (last := part)
    if not last.endswith(b"\n"):
        yield b"\n"
