"""The source as a job sees it: an immutable copy, named by its content and updated by difference."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.project.checkout import is_home
from runner.project.find import Project
from runner.project.home import sub_folder
from runner.project.layer import make_layer, object_folders
from runner.project.manifest import SourceChangedError
from runner.project.objects import bundle_exists, is_bundle, sweep_objects
from runner.project.restart import trusted
from runner.project.scan import Scan, load, save, saved_id, scan
from runner.project.shelf import Hold, Shelf
from runner.project.tree import OPEN, PLAIN
from runner.project.update import Flavour, put_tree, read_manifest

_ATTEMPTS = 5
_KEPT = 3
_TREE = Flavour("", PLAIN)
_VARIANT = Flavour("-open", OPEN)
FLAVOURS = (_TREE, _VARIANT)
_SCAN = "scan"
SNAPSHOTS = "snapshots"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the source that nobody changes, and that is kept until it is released.

    `tree` holds the files and `git` a folder with nothing but `.git` (None without git); neither
    is ever written, so both serve as lower layers. That `.git` expects each of `objects`, the
    user's own object folders or those of `bundle`, read-only at `/github/objects/0`,
    `/github/objects/1` and so on. With a `pin` it is kept past this process as well.
    """

    id: str
    storage: Path
    tree: Path
    git: Path | None
    objects: tuple[Path, ...]
    bundle: str = ""
    pin: str = ""
    holds: tuple[Hold, ...] = field(default=(), repr=False, compare=False)

    def release(self) -> None:
        """Let the folders go; call it once, when no job uses them any more."""
        for hold in self.holds:
            hold.release()

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def to_json(self) -> dict[str, Any]:
        """What `open_snapshot` needs to find it again, also on a machine with another path to the
        storage: only objects that could not be kept there are named as they are here."""
        return {
            "id": self.id,
            "tree": self._named(self.tree),
            "git": self._named(self.git) if self.git else None,
            "objects": [self._named(folder) for folder in self.objects],
            "bundle": self.bundle,
            "pin": self.pin,
        }

    def _named(self, folder: Path) -> str:
        is_kept = self.bundle or folder not in self.objects
        return str(folder.relative_to(self.storage) if is_kept else folder)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the source of a project is copied from and to; `scan` is this machine's alone."""

    project: Project
    home: Path
    storage: Path
    shelf: Shelf
    scan: Path


def take_snapshot(project: Project, home: Path, storage: Path) -> Snapshot:
    """Copy the project's source as it is now, or find that the copy exists already.

    `home` is PIPE_HOME, `storage` PIPE_STORAGE. The snapshot is held from here on. Raises
    EnvironmentMissingError when the source cannot be copied, InvalidInputError when a file of it
    may not be read.
    """
    _refuse_everything(project)
    names = (SNAPSHOTS, _project_id(project.root))
    shelf = Shelf(sub_folder(storage, *names))
    place = _Place(project, home, storage, shelf, sub_folder(home, *names) / _SCAN)
    try:
        with trusted(shelf, FLAVOURS):
            return _take(place)
    except OSError as error:
        raise EnvironmentMissingError(
            f"cannot copy the source of {project.root}: {error}"
        ) from error


def open_variant(snapshot: Snapshot) -> Path:
    """The same tree with modes 0777 and 0666, for images whose user is not root.

    It is kept for as long as the snapshot is held.
    """
    shelf = Shelf(snapshot.tree.parent)
    with shelf.locked():
        manifest = read_manifest(shelf, snapshot.id)
        put_tree(shelf, snapshot.id, _VARIANT, manifest, snapshot.tree)
    return _VARIANT.folder(shelf, snapshot.id)


def _refuse_everything(project: Project) -> None:
    if project.git is None and (is_home(project.root) or project.root == Path("/")):
        raise InvalidInputError(
            f"the source of this run would be all of {project.root}",
            hint="put the pipeline into a folder of its own",
        )


def _project_id(root: Path) -> str:
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", root.name).strip("-") or "root"
    return f"{word[:40]}-{hashlib.sha256(bytes(root)).hexdigest()[:12]}"


def _take(place: _Place) -> Snapshot:
    seen = _copy_source(place)
    shelf, facts = place.shelf, place.project.git
    tree = shelf.folder / seen.id
    git = shelf.folder / make_layer(shelf, facts) if facts else None
    objects = object_folders(facts.checkout) if facts else ()
    names = [folder.name for folder in (tree, git) if folder]
    prune(shelf, names)
    holds = tuple(map(shelf.hold, names))
    return Snapshot(seen.id, place.storage, tree, git, objects, holds=holds)


def _copy_source(place: _Place) -> Scan:
    known = _known(place)
    root, shelf = place.project.root, place.shelf
    own = {place.home.resolve(), place.storage.resolve()}
    for _ in range(_ATTEMPTS):
        try:
            seen = scan(root, own, known)
            put_tree(shelf, seen.id, _TREE, seen.manifest, root)
        except SourceChangedError as changed:
            last = changed
            continue
        if seen is not known:
            save(seen, place.scan)
        return seen
    raise EnvironmentMissingError(
        f"the source changes faster than it can be copied: {last}",
        hint="stop what writes there, or ignore the file",
    )


def _known(place: _Place) -> Scan | None:
    name = saved_id(place.scan)
    return load(place.scan, read_manifest(place.shelf, name)) if name else None


def prune(shelf: Shelf, needed: Collection[str] = ()) -> None:
    """Remove what nobody needs, but for the newest of each kind; inside `Shelf.locked`."""
    kept, pinned = dict.fromkeys(("tree", "git", "bundle"), 0), shelf.pinned()
    for name in shelf.names():
        kind = "bundle" if is_bundle(name) else "git" if name.startswith("git-") else "tree"
        exists = bundle_exists(shelf, name) or _has_folder(shelf, name)
        kept[kind] += exists
        is_wanted = name in needed or name in pinned or (exists and kept[kind] <= _KEPT)
        if not is_wanted and shelf.discard(name) and kind == "bundle":
            sweep_objects(shelf)


def _has_folder(shelf: Shelf, name: str) -> bool:
    return any(flavour.folder(shelf, name).is_dir() for flavour in FLAVOURS)
