"""From runs that have ended to new ones in the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner import queue
from runner.errors import EnvironmentMissingError, InvalidInputError, RefusedError
from runner.project import home_folder, keep_snapshot, open_snapshot
from runner.queue.again import again, read_ended

if TYPE_CHECKING:
    from runner.queue import Entry
    from runner.storage import Storage
    from runner.store import Store

#: Runs that are queued in one transaction, so that other writers come in between.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Requeued:
    """The new number of each run, and why others are left as they are."""

    runs: dict[int, int]
    refused: dict[int, str]


def requeue(
    store: "Store", storage: "Storage", runs: Sequence[int], *, from_start: bool, strict: bool
) -> Requeued:
    """Queues dead letters again, as many as possible in one transaction.

    `strict`: all or, with the error that is raised, none of them.
    """
    done: dict[int, int] = {}
    refused: dict[int, str] = {}
    for first in range(0, len(runs), _BATCH):
        entries = {}
        for run in runs[first : first + _BATCH]:
            try:
                entry = entry_again(store, storage, run, from_start=from_start)
                entries[run] = replace(entry, letter=run)
            except (InvalidInputError, EnvironmentMissingError) as error:
                if strict:
                    raise
                refused[run] = error.message
        try:
            done |= _queued(store, entries)
        except (InvalidInputError, RefusedError):
            if strict:
                raise
            for run, entry in entries.items():
                try:
                    done |= _queued(store, {run: entry})
                except (InvalidInputError, RefusedError) as error:
                    refused[run] = error.message
    return Requeued(done, refused)


def _queued(store: "Store", entries: Mapping[int, "Entry"]) -> dict[int, int]:
    """The numbers of the new runs, by those of the old; all of them are queued, or none."""
    numbers = queue.enqueue_all(store, list(entries.values()), store.now())
    return dict(zip(entries, numbers, strict=True))


def entry_again(store: "Store", storage: "Storage", run: int, *, from_start: bool) -> "Entry":
    """A run that has ended, made ready to be queued, with a pin of its own on its source.

    Raises InvalidInputError if the run cannot be read, EnvironmentMissingError if its source is
    gone.
    """
    stored = read_ended(store, run)
    first = again(stored, {}, from_start=from_start)
    opened = open_snapshot(stored.submission.snapshot, storage.folder)
    with keep_snapshot(opened, portable=storage.folder != home_folder()) as kept:
        snapshot = kept.to_json()
    return replace(first, submission=replace(first.submission, snapshot=snapshot))
