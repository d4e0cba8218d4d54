"""What jobs with `sources` depend on: the files of a snapshot, by their paths and contents."""

import hashlib
import os
from collections.abc import Callable, Iterable

from runner.project.manifest import Manifest
from runner.project.shelf import Shelf
from runner.project.snapshot import Snapshot
from runner.project.update import read_manifest


class SourceFiles:
    """The files of a snapshot, to be compared without being read."""

    def __init__(self, manifest: Manifest) -> None:
        self._entries = {os.fsdecode(path): entry for path, entry in manifest.items()}

    def matching(self, is_wanted: Callable[[str], bool]) -> list[str]:
        """The paths (from the top, with `/` in front) of the files that are wanted, in order."""
        return [f"/{path}" for path in self._entries if is_wanted(f"/{path}") and path[-1:] != "/"]

    def below(self, folder: str) -> list[str]:
        """The files in a folder; all of them for `.`."""
        prefix = "/" if folder == "." else f"/{folder}/"
        return self.matching(lambda path: path.startswith(prefix))

    def digest(self, paths: Iterable[str]) -> str:
        """What changes with a path, a mode or the content of one of these files."""
        found = hashlib.sha256()
        for path in sorted(set(paths)):
            found.update(os.fsencode(path) + b"\0" + self._entries[path[1:]] + b"\0")
        return found.hexdigest()


def source_files(snapshot: Snapshot) -> SourceFiles:
    """Those that the snapshot was made of."""
    return SourceFiles(read_manifest(Shelf(snapshot.tree.parent), snapshot.id))
