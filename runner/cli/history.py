"""What the commands about past and present runs share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from runner.cli.opening import opened_store
from runner.project import home_folder
from runner.store import Store
from runner.terminal.words import duration, visible


@contextmanager
def open_store() -> Iterator[Store]:
    """The store, in which runs whose process is gone have ended by now."""
    from runner import queue

    with opened_store(home_folder()) as store:
        queue.rescue(store, store.now())
        yield store


def took(start: float | None, end: float | None) -> str:
    """How long it took, or goes on already; nothing when it has not begun."""
    return "" if start is None else duration((end or time.time()) - start)


def moment(stamp: float | None) -> str:
    """A point in time as people of this machine's time zone read it."""
    if stamp is None:
        return ""
    from runner.queue.telling import moment as spelled

    return spelled(stamp)


def verdict(state: str, result: str | None, reason: str) -> str:
    """`running`, `success`, `failure (lost)`."""
    word = result or state
    return f"{word} ({visible(reason)})" if reason else word


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows in columns as wide as their widest cell; the last column as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
