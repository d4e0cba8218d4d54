"""Small JSON files that name blobs: written whole, read by anyone, never trusted to be there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.storage.blobs import write_file


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """Create or replace a record; inside `BlobStore.locked`."""
    write_file(path, json.dumps(values).encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None for one that is not there, or is none."""
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def records(folder: Path, pattern: str = "*.json") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every record in a folder, with its file, in the order of their names."""
    for path in sorted(folder.glob(pattern)):
        values = None if path.name.startswith(".") else read_record(path)
        if values is not None:
            yield path, values
