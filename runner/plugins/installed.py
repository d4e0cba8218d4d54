"""The plugins of installed distributions: entry points, and a note of them that saves the search."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.plugin import GROUP

#: The file that keeps what was found; a search reads the metadata of every distribution.
NOTE = "plugins.json"


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry point: its name, `module` or `module:attribute`, and the distribution it is from."""

    name: str
    value: str
    distribution: str
    version: str

    def load(self) -> object:
        """Import the plugin. Raises whatever the plugin's own code raises."""
        from importlib import import_module

        module, _, attribute = self.value.partition(":")
        found: object = import_module(module.strip())
        for name in filter(None, attribute.strip().split(".")):
            found = getattr(found, name)
        return found


def find_installed(cache: Path | None) -> list[Installed]:
    """All entry points of the group, by name; `cache` is a folder for the note of them."""
    key = _key()
    if cache and (noted := _noted(cache / NOTE, key)) is not None:
        return noted
    found = sorted(_search(), key=lambda plugin: (plugin.name, plugin.distribution))
    if cache:
        _note(cache, key, found)
    return found


def _key() -> list[Any]:
    """What changes whenever a distribution comes or goes."""
    return [sys.version, *([entry, _changed(entry)] for entry in sys.path)]


def _changed(entry: str) -> int:
    try:
        return os.stat(entry or ".").st_mtime_ns  # noqa: PTH116 - ten times as fast
    except OSError:
        return 0


def _search() -> Iterator[Installed]:
    # the library alone takes longer to import than everything else here takes to run
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        name, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
        yield Installed(point.name, point.value, name, version)


def _noted(note: Path, key: list[Any]) -> list[Installed] | None:
    try:
        kept = json.loads(note.read_bytes())
        return [Installed(**plugin) for plugin in kept["plugins"]] if kept["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _note(cache: Path, key: list[Any], found: list[Installed]) -> None:
    import tempfile

    kept = {"key": key, "plugins": [asdict(plugin) for plugin in found]}
    # a note that cannot be kept costs time, and nothing else
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cache, delete=False) as file:
            json.dump(kept, file)
        Path(file.name).replace(cache / NOTE)
