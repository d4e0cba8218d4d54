"""When SQLite's log goes back into the file, and how: only while nobody can write.

Before 3.51.3 a checkpoint may take a log that somebody begins anew at that moment for the old one,
and later leave out what is in it. SQLite's own checkpoints, after a commit, run beside other writers;
ours hold the right to write, so that no process begins the log anew meanwhile. That also makes them
one at a time, whoever does them, and whoever dies.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

#: Of SQLite's own, but for that of whoever closes the file as the last one: nobody else has it then.
NO_CHECKPOINTS = "wal_autocheckpoint = 0"
#: Pages in the log from which on it is worth it.
_LONG = 4000
#: Of so many commits, which write some twenty pages each, it looks after one: that takes a while.
_SELDOM = 8
#: Sizes and places in the log, as SQLite's documentation of its format has them.
_HEADER, _FRAME_HEADER = 32, 24
_PAGE_SIZE, _SALT, _SALT_OF_FRAME = slice(8, 12), slice(16, 24), slice(8, 16)


class Checkpoints:
    """Those that one connection sees to, after what it has committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._limit = _LONG
        self._asked = 0

    def are_due(self) -> bool:
        """Whether the log is long, or so much longer than when this was last true.

        Ask after each commit: it looks after the first one, and then not after each.
        """
        self._asked += 1
        return self._asked % _SELDOM == 1 and self._is_long()

    def _is_long(self) -> bool:
        if not has_pages(self._log, _LONG):
            self._limit = _LONG
        elif has_pages(self._log, self._limit):
            # Somebody who reads for long keeps the log from beginning anew: not after each commit.
            self._limit += _LONG
            return True
        return False

    def do(self) -> None:
        """One of them; whoever calls this is in a transaction that writes, on another connection."""
        with closing(sqlite3.connect(self._path, timeout=0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def has_pages(log: Path, count: int) -> bool:
    """Whether the log has so many pages; what is left behind them from an earlier one is none."""
    try:
        file = os.open(log, os.O_RDONLY)
    except OSError:
        return False
    try:
        header = os.pread(file, _HEADER, 0)
        page_size = int.from_bytes(header[_PAGE_SIZE], "big")
        last = _HEADER + (count - 1) * (_FRAME_HEADER + page_size)
        frame = os.pread(file, _FRAME_HEADER, last)
    except OSError:
        return False
    finally:
        os.close(file)
    return len(frame) == _FRAME_HEADER and frame[_SALT_OF_FRAME] == header[_SALT]
