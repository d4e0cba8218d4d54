"""Folders of this machine that a job on it was given: copies, so that no step changes the original."""

import threading
from pathlib import Path

from runner.engines.layers import copy_layers


class HostTrees:
    """The copies that one box has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there: set[str] = set()
        self._lock = threading.Lock()

    def path_of(self, name: str) -> str:
        return str(self._folder / name)

    def bring(self, name: str, folder: Path) -> str:
        """Copy it, unless it is there already. Raises OSError."""
        target = self._folder / name
        with self._lock:
            if name not in self._there:
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_layers([folder], target)
                self._there.add(name)
        return str(target)
