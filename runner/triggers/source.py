"""The source of a project as it was seen last: what of it changed since then."""

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from runner.project import (
    Snapshot,
    all_ignored,
    changed_paths,
    files_of,
    find_project,
    open_snapshot,
    take_snapshot,
)


class Source:
    """Holds the newest snapshot of the project around some pipelines."""

    def __init__(self, root: Path, pipelines: Sequence[Path], home: Path, storage: Path) -> None:
        """`root` is that of the project that the files `pipelines` are in, which always count."""
        self.root = root
        self._pipelines = pipelines
        self._home = home
        self._storage = storage
        self._seen: _Seen | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest one; None before the first look."""
        return self._seen.snapshot if self._seen else None

    def files(self) -> Collection[str]:
        """The paths of all files as they were seen last."""
        return self._seen.files if self._seen else ()

    def hold(self) -> Snapshot:
        """The newest snapshot, held once more."""
        assert self._seen
        return open_snapshot(self._seen.snapshot.to_json(), self._storage)

    def look(self, touched: Collection[Path]) -> tuple[str, ...]:
        """Paths (from the root on) of what is not as it was at the last look.

        `touched` are those that may not be; all may, if there is none. At the first look those that
        are touched count as changed. Raises PipeError when the source cannot be read.
        """
        below = [str(path.relative_to(self.root)) for path in touched if self._is_mine(path)]
        outside = self._not_in_it(touched)
        if touched and not outside and (not below or self._cannot_count(below)):
            return ()
        snapshot = take_snapshot(find_project(self._pipelines[0]), self._home, self._storage)
        before, self._seen = self._seen, _Seen(snapshot)
        if before is None:
            return tuple(below)
        try:
            return (*changed_paths(before.snapshot, snapshot), *outside)
        finally:
            before.snapshot.release()

    def close(self) -> None:
        """Let the snapshot go."""
        if self._seen:
            self._seen.snapshot.release()

    def _is_mine(self, path: Path) -> bool:
        return path.is_relative_to(self.root)

    def _cannot_count(self, paths: Collection[str]) -> bool:
        known = self.files()
        return not any(path in known for path in paths) and all_ignored(self.root, paths)

    def _not_in_it(self, touched: Collection[Path]) -> list[str]:
        """Pipelines that do not belong to the source: it cannot tell whether they changed."""
        names = [str(path.relative_to(self.root)) for path in self._pipelines if path in touched]
        return [name for name in names if name not in self.files()]


class _Seen:
    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    @cached_property
    def files(self) -> frozenset[str]:
        return files_of(self.snapshot)
