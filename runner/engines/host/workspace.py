"""The tree that a job on this machine works in: a private copy of the snapshot, or the checkout."""

import os
from collections.abc import Sequence
from pathlib import Path

from runner.engines.box import Workspace
from runner.engines.layers import copy_layers


def put_workspace(wanted: Workspace, target: Path) -> Path:
    """The folder to work in, which is the new folder `target` unless the workspace is a folder
    as it is. Raises OSError."""
    if wanted.bind:
        return wanted.bind.absolute()
    copy_layers(wanted.layers, target)
    _borrow_objects(target / ".git", wanted.objects)
    return target


def _borrow_objects(git: Path, objects: Sequence[Path]) -> None:
    """Let git find the objects where they are, not where a container would have them."""
    alternates = git / "objects" / "info" / "alternates"
    if alternates.is_file():
        lines = [os.fsencode(folder.absolute()) + b"\n" for folder in objects]
        alternates.write_bytes(b"".join(lines))
