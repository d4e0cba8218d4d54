"""Files of a box on their way to a store."""

from collections.abc import Iterable, Iterator

from runner.actions.native import ActionFailedError
from runner.storage.tar_read import Piece
from runner.storage.untrusted import Rules, Tally, remade


def counted(blocks: Iterable[bytes], rules: Rules, tally: Tally, files: int) -> Iterator[Piece]:
    """An archive made anew. Raises ActionFailedError when it has other files than were asked for."""
    yield from remade(blocks, rules, tally)
    if tally.files != files:
        raise ActionFailedError(
            f"{files} files were to be stored and {tally.files} came out of the box",
            hint="something may have changed them meanwhile",
        )
