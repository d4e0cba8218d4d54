"""Snapshots of queued runs: kept past the process that took them, and opened on any machine.

A pin is a file beside what it keeps, with a name that no other pin has. Who submits a run pins its
snapshot before the run is queued, and who sees the run end takes the pin out.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.errors import EnvironmentMissingError
from runner.project.objects import bundle_exists, keep_objects
from runner.project.restart import trusted
from runner.project.shelf import Shelf
from runner.project.snapshot import FLAVOURS, SNAPSHOTS, Snapshot, prune

#: A pin that no run names belongs to a run that is being queued; after so many seconds to nobody.
UNCLAIMED = 3600.0


def keep_snapshot(snapshot: Snapshot, *, portable: bool) -> Snapshot:
    """The same snapshot, pinned: neither a loss of power nor the end of this process takes it away.

    `release` what is returned, in the place of `snapshot`. Its git objects are kept as well; where
    that needs copies of them, only if it is `portable`: to be opened on other machines. Raises
    EnvironmentMissingError when the disk does not take it.
    """
    shelf = Shelf(snapshot.tree.parent)
    try:
        kept = replace(_with_objects(shelf, snapshot, copy=portable), pin=secrets.token_hex(16))
        names = _names(kept)
        shelf.make_durable([name for name in names if name != kept.bundle])
        with shelf.locked():
            shelf.pin(kept.pin, names)
    except OSError as error:
        raise EnvironmentMissingError(
            f"cannot keep the source in {shelf.folder}: {error.strerror or error}",
            hint="free some space there",
        ) from error
    return kept


def open_snapshot(data: Mapping[str, Any], storage: Path) -> Snapshot:
    """Hold the snapshot again that `to_json` described; `storage` is PIPE_STORAGE of this machine.

    Raises EnvironmentMissingError when it cannot be found there.
    """
    snapshot = Snapshot(
        data["id"],
        storage,
        storage / data["tree"],
        storage / data["git"] if data["git"] else None,
        # Those of a checkout begin with `/`, and stay as they are.
        tuple(storage / folder for folder in data["objects"]),
        data["bundle"],
        data["pin"],
    )
    shelf = Shelf(snapshot.tree.parent)
    if not shelf.folder.is_dir():
        raise _gone(snapshot.tree)
    try:
        with trusted(shelf, FLAVOURS):
            _check(shelf, snapshot)
            return replace(snapshot, holds=tuple(map(shelf.hold, _names(snapshot))))
    except OSError as error:
        raise EnvironmentMissingError(
            f"cannot open the copy of the source in {shelf.folder}: {error.strerror or error}",
            hint="on every machine, PIPE_STORAGE has to be the folder of the same user",
        ) from error


def unpin_snapshot(data: Mapping[str, Any], storage: Path) -> None:
    """Take the pin out of the snapshot that `to_json` described; no error when it is gone."""
    if not data["pin"]:
        return
    shelf = Shelf((storage / data["tree"]).parent)
    if shelf.folder.is_dir():
        with shelf.locked():
            shelf.unpin(data["pin"])


def unneeded_pins(storage: Path, pins: Collection[str], now: float) -> set[str]:
    """The pins that `prune_snapshots` would take out."""
    found = set()
    for folder in (storage / SNAPSHOTS).glob("*"):
        shelf = Shelf(folder)
        with shelf.locked():
            found |= _unneeded(shelf, pins, now)
    return found


def prune_snapshots(storage: Path, pins: Collection[str], now: float) -> None:
    """Remove what no run needs: all but those with one of `pins`, the held and the newest."""
    for folder in (storage / SNAPSHOTS).glob("*"):
        shelf = Shelf(folder)
        with shelf.locked():
            for pin in _unneeded(shelf, pins, now):
                shelf.unpin(pin)
            prune(shelf)


def _unneeded(shelf: Shelf, pins: Collection[str], now: float) -> set[str]:
    found = shelf.pins().items()
    return {pin for pin, since in found if pin not in pins and now - since > UNCLAIMED}


def _with_objects(shelf: Shelf, snapshot: Snapshot, *, copy: bool) -> Snapshot:
    if snapshot.git is None or snapshot.bundle:
        return snapshot
    bundle = keep_objects(shelf, snapshot.objects, copy=copy)
    if bundle is None:
        return snapshot
    holds = (*snapshot.holds, bundle.hold)
    return replace(snapshot, objects=bundle.folders, bundle=bundle.name, holds=holds)


def _names(snapshot: Snapshot) -> list[str]:
    folders = [folder.name for folder in (snapshot.tree, snapshot.git) if folder]
    return [*folders, snapshot.bundle] if snapshot.bundle else folders


def _check(shelf: Shelf, snapshot: Snapshot) -> None:
    for folder in (snapshot.tree, snapshot.git):
        if folder and not folder.is_dir():
            raise _gone(folder)
    if snapshot.bundle and not bundle_exists(shelf, snapshot.bundle):
        raise _gone(shelf.folder / snapshot.bundle)
    for folder in snapshot.objects:
        if not folder.is_dir():
            raise EnvironmentMissingError(
                f"the git objects of this run are gone, or on another machine: {folder}",
                hint="submit the run again; with PIPE_STORAGE they are kept with it",
            )


def _gone(folder: Path) -> EnvironmentMissingError:
    return EnvironmentMissingError(
        f"the copy of the source that this run was queued with is gone: {folder}",
        hint="submit the run again; PIPE_STORAGE has to be the same folder where it is taken",
    )
