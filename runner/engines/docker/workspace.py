"""What a job's tree is mounted from: an overlay over the snapshot, a copy of it, or the checkout."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.engines.layers import copy_layers

INSIDE = "/github/workspace"
OBJECTS = "/github/objects"

Mount = dict[str, Any]


def bind(source: Path, target: str, *, read_only: bool = False) -> Mount:
    """A folder of the host; unlike `-v`, the engine refuses one that does not exist there."""
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


def overlay(layers: Sequence[Path], upper: Path, work: Path) -> Mount:
    """A volume that the engine mounts as a writable layer over `layers` (uppermost first).

    It has no name, so it goes away together with its container.
    """
    for folder in (upper, work):
        folder.mkdir()
        folder.chmod(0o777)
    lower = ":".join(escape(layer) for layer in layers)
    options = f"lowerdir={lower},upperdir={escape(upper)},workdir={escape(work)}"
    driver = {"Name": "local", "Options": {"type": "overlay", "device": "overlay", "o": options}}
    return {"Type": "volume", "Target": INSIDE, "VolumeOptions": {"DriverConfig": driver}}


def copy(layers: Sequence[Path], target: Path) -> Mount:
    """The layers copied into one folder, where an overlay cannot be mounted."""
    copy_layers(layers, target)
    target.chmod(0o777)
    return bind(target, INSIDE)


def volume(target: str) -> Mount:
    """An empty volume that goes away together with its container."""
    return {"Type": "volume", "Target": target}


def objects(folders: Sequence[Path]) -> list[Mount]:
    """git's object folders, where the workspace's `.git` expects them."""
    return [
        bind(folder, inside, read_only=True)
        for folder, inside in zip(folders, objects_inside(folders), strict=True)
    ]


def objects_inside(folders: Sequence[Path]) -> tuple[str, ...]:
    """Where the box has git's object folders."""
    return tuple(f"{OBJECTS}/{number}" for number in range(len(folders)))


def escape(path: Path) -> str:
    """A path as overlay's options take it, in which `\\`, `,` and `:` mean something."""
    text = os.fspath(path)
    for character in "\\,:":
        text = text.replace(character, "\\" + character)
    return text
