"""The files of runs: whether the folder can be shared, how much there is, and what nobody needs."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.opening import opened_store
from runner.cli.sharing import mount_of, why_not_shared
from runner.cli.storage import open_storage
from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.project import prune_snapshots, storage_folder, unneeded_pins
from runner.store.finding import Finding
from runner.terminal.words import size

if TYPE_CHECKING:
    from runner.storage import Storage
    from runner.store import Store

_CLEAN = "`pipe doctor --clean` removes them"


def storage(home: Path, clean: bool) -> Iterator[Finding]:
    """`clean` removes what belongs to no run."""
    try:
        folder = storage_folder()
        if folder != home:
            yield _shared(folder)
        found = open_storage()
    except EnvironmentMissingError as error:
        yield Finding("storage", "error", error.message, error.hint)
        return
    yield _kept(found)
    # What is wrong with the database is told already.
    with suppress(EnvironmentMissingError, InvalidInputError), opened_store(home) as store:
        yield _orphans(store, found, clean)
        yield _pins(store, found, clean)


def _shared(folder: Path) -> Finding:
    problem, mount = why_not_shared(folder), mount_of(folder)
    if problem:
        hint = "set PIPE_STORAGE to a folder in which `flock` works on all machines"
        return Finding("storage", "error", f"{folder}: {problem}", hint)
    free = f"{shutil.disk_usage(folder).free >> 20} MiB free"
    return Finding("storage", "ok", f"{folder}, {mount.kind if mount else 'locks work'}, {free}")


def _kept(storage: "Storage") -> Finding:
    storage.tidy()
    sizes = storage.sizes()
    text = f"{size(sizes.logs)} of logs, {size(sizes.stored)} of artifacts and caches"
    return Finding("kept", "ok", text)


def _orphans(store: "Store", storage: "Storage", clean: bool) -> Finding:
    from runner.store.pruning import run_numbers

    # In this order: the row of a run is there before its files are.
    kept = storage.runs()
    orphans = sorted(kept - run_numbers(store.notes))
    if not orphans:
        return Finding("files", "ok", "all belong to runs that exist")
    text = f"of {len(orphans)} runs that do not exist, {orphans[0]} the first"
    if not clean:
        return Finding("files", "warning", text, _CLEAN)
    for run in orphans:
        storage.forget(run)
    return Finding("files", "ok", f"removed those {text}")


def _pins(store: "Store", storage: "Storage", clean: bool) -> Finding:
    from runner.store.pruning import needed_snapshots

    now = store.now()
    needed = {json.loads(each).get("pin", "") for each in needed_snapshots(store.notes)}
    free = unneeded_pins(storage.folder, needed, now)
    if not free:
        return Finding("sources", "ok", "none is kept that no run needs")
    if not clean:
        return Finding("sources", "warning", f"{len(free)} are kept that no run needs", _CLEAN)
    prune_snapshots(storage.folder, needed, now)
    return Finding("sources", "ok", f"let {len(free)} go that no run needs")
