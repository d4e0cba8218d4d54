"""Putting a tree on the shelf at the price of what changed since the one before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.project.manifest import Manifest, from_bytes, to_bytes
from runner.project.shelf import Shelf
from runner.project.tree import (
    Modes,
    copy_paths,
    differing,
    link_paths,
    move_paths,
    remove_paths,
)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One kind of tree on the shelf: what follows the id in its folder's name, and its modes."""

    suffix: str
    modes: Modes

    def folder(self, shelf: Shelf, name: str) -> Path:
        """Where the tree `name` of this flavour stands."""
        return shelf.folder / (name + self.suffix)


@dataclass(frozen=True, slots=True)
class _Update:
    """From the tree `base` with `old` in it (None and nothing: from scratch) to one with `new`."""

    shelf: Shelf
    flavour: Flavour
    base: str | None
    old: Manifest
    new: Manifest

    @property
    def fresh(self) -> list[bytes]:
        return differing(self.old, self.new)

    def stage(self, source: Path, staged: Path) -> None:
        copy_paths(source, staged, self.fresh, self.new, self.flavour.modes)

    @contextmanager
    def completed(self, staged: Path) -> Iterator[Path]:
        """The folder with all of `new`: the base itself if nobody needs it, else one of links."""
        if self.base is None:
            yield staged
            return
        base = self.flavour.folder(self.shelf, self.base)
        claim = self.shelf.claim(self.base)
        if claim is None:
            same = [path for path, entry in self.new.items() if self.old.get(path) == entry]
            link_paths(base, staged, same, self.flavour.modes)
            yield staged
            return
        try:
            with self.shelf.temporary() as tree:
                base.replace(tree)
                self._change(staged, tree)
                yield tree
        finally:
            claim.release()

    def _change(self, staged: Path, tree: Path) -> None:
        remove_paths(tree, differing(self.new, self.old))
        empty = [path for path in self.new if path.endswith(b"/")]
        move_paths(staged, tree, [*self.fresh, *empty], self.flavour.modes)


def put_tree(shelf: Shelf, name: str, flavour: Flavour, manifest: Manifest, source: Path) -> None:
    """Make the tree `name` with what `manifest` lists in `source`, unless it is there.

    Raises SourceChangedError, and leaves everything as it was, when `source` is something else.
    """
    target = flavour.folder(shelf, name)
    if target.is_dir():
        return
    shelf.forget_durable(target.name)
    base = _base(shelf, flavour)
    old = read_manifest(shelf, base) if base else {}
    update = _Update(shelf, flavour, base, old, manifest)
    with shelf.temporary() as staged:
        # All that can fail comes first: a base is taken apart only when every new file is at hand.
        update.stage(source, staged)
        shelf.add(name)
        _manifest_file(shelf, name).write_bytes(to_bytes(manifest))
        with update.completed(staged) as tree:
            tree.rename(target)


def read_manifest(shelf: Shelf, name: str) -> Manifest:
    """What the tree `name` holds; empty when the shelf never had it."""
    file = _manifest_file(shelf, name)
    return from_bytes(file.read_bytes()) if file.is_file() else {}


def _base(shelf: Shelf, flavour: Flavour) -> str | None:
    """The newest tree that nobody needs, since it becomes the new one; else the newest."""
    trees = [
        name
        for name in shelf.names()
        if _manifest_file(shelf, name).is_file() and flavour.folder(shelf, name).is_dir()
    ]
    return next((name for name in trees if _is_free(shelf, name)), trees[0] if trees else None)


def _is_free(shelf: Shelf, name: str) -> bool:
    claim = shelf.claim(name)
    if claim:
        claim.release()
    return claim is not None


def _manifest_file(shelf: Shelf, name: str) -> Path:
    return shelf.folder / f"{name}.manifest"
