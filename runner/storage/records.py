"""Small JSON files that name blobs: written whole, read by anyone, never trusted to be there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.storage.shared import is_gone, look_again, write_file

_ATTEMPTS = 2


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """Create or replace a record; inside `BlobStore.locked`."""
    write_file(path, json.dumps(values).encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None for one that is not there, or is none."""
    try:
        values = json.loads(_content(path))
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _content(path: Path) -> bytes:
    """Nothing for a file that is not there; one that was replaced meanwhile is read anew."""
    for _ in range(_ATTEMPTS):
        try:
            return path.read_bytes()
        except OSError as error:
            if not is_gone(error):
                raise
            look_again(path.parent)
    return b""


def records(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every record in a folder, with its file, in the order of their names."""
    look_again(folder.parent)
    look_again(folder)
    for path in sorted(folder.glob("[!.]*.json")):
        values = read_record(path)
        if values is not None:
            yield path, values


def records_below(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every record in the folders of a folder."""
    look_again(folder)
    for each in sorted(folder.glob("*/")):
        yield from records(each)
