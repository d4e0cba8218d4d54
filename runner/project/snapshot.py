"""The source as a job sees it: an immutable copy, named by its content and updated by difference."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from runner.errors import EnvironmentMissingError, InvalidInputError, PipeError
from runner.project.checkout import is_home
from runner.project.find import Project
from runner.project.home import sub_folder
from runner.project.layer import make_layer, object_folders
from runner.project.manifest import SourceChangedError
from runner.project.restart import trusted
from runner.project.scan import Scan, load, save, saved_id, scan
from runner.project.shelf import Hold, Shelf
from runner.project.tree import OPEN, PLAIN
from runner.project.update import Flavour, put_tree, read_manifest

_ATTEMPTS = 5
_KEPT = 3
_TREE = Flavour("", PLAIN)
_VARIANT = Flavour("-open", OPEN)
_FLAVOURS = (_TREE, _VARIANT)
_SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the source that nobody changes, and that is kept until it is released.

    `tree` holds the files and `git` a folder with nothing but `.git` (None without git); neither
    is ever written, so both serve as lower layers. That `.git` expects each of `objects`, the
    user's own object folders, read-only at `/github/objects/0`, `/github/objects/1` and so on.
    """

    id: str
    tree: Path
    git: Path | None
    objects: tuple[Path, ...]
    _holds: tuple[Hold, ...] = field(default=(), repr=False, compare=False)

    def release(self) -> None:
        """Let the folders go; call it once, when no job uses them any more."""
        for hold in self._holds:
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
        """What `open_snapshot` needs to find it again, in another process too."""
        return {
            "id": self.id,
            "tree": str(self.tree),
            "git": str(self.git) if self.git else None,
            "objects": [str(folder) for folder in self.objects],
        }


def take_snapshot(project: Project, home: Path) -> Snapshot:
    """Copy the project's source as it is now, or find that the copy exists already.

    `home` is PIPE_HOME. The snapshot is held from here on. Raises EnvironmentMissingError when
    the source cannot be copied, InvalidInputError when a file of it may not be read.
    """
    _refuse_everything(project)
    shelf = Shelf(sub_folder(home, "snapshots", _project_id(project.root)))
    try:
        with trusted(shelf, _FLAVOURS):
            return _take(shelf, project, home.resolve())
    except OSError as error:
        raise EnvironmentMissingError(
            f"cannot copy the source of {project.root}: {error}"
        ) from error


def open_snapshot(data: Mapping[str, Any]) -> Snapshot:
    """Hold the snapshot again that `to_json` described.

    Raises EnvironmentMissingError when it was removed in the meantime.
    """
    tree = Path(data["tree"])
    git = Path(data["git"]) if data["git"] else None
    objects = tuple(Path(folder) for folder in data["objects"])
    if tree.parent.is_dir():
        shelf = Shelf(tree.parent)
        with trusted(shelf, _FLAVOURS):
            if tree.is_dir() and (git is None or git.is_dir()):
                return Snapshot(data["id"], tree, git, objects, _hold(shelf, tree, git))
    raise EnvironmentMissingError(
        f"the copy of the source that this run was queued with is gone: {tree}",
        hint="submit the run again",
    )


def pin_snapshot(snapshot: Snapshot, pin: str) -> None:
    """Keep the snapshot for as long as the pin `pin` (letters, digits, `-`) stays, past this process."""
    shelf = Shelf(snapshot.tree.parent)
    names = [folder.name for folder in (snapshot.tree, snapshot.git) if folder]
    with shelf.locked():
        shelf.pin(_pin_name(pin), names)


def unpin_snapshot(data: Mapping[str, Any], pin: str) -> None:
    """Take the pin out of the snapshot that `to_json` described; no error when it is gone."""
    shelf = Shelf(Path(data["tree"]).parent)
    if shelf.folder.is_dir():
        with shelf.locked():
            shelf.unpin(_pin_name(pin))


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


def _pin_name(pin: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", pin):
        raise PipeError(f"not a pin: {pin!r}")
    return pin


def _take(shelf: Shelf, project: Project, home: Path) -> Snapshot:
    seen = _copy_source(shelf, project.root, home)
    tree = shelf.folder / seen.id
    git = shelf.folder / make_layer(shelf, project.git) if project.git else None
    objects = object_folders(project.git.checkout) if project.git else ()
    _prune(shelf, tuple(folder.name for folder in (tree, git) if folder))
    return Snapshot(seen.id, tree, git, objects, _hold(shelf, tree, git))


def _hold(shelf: Shelf, tree: Path, git: Path | None) -> tuple[Hold, ...]:
    return tuple(shelf.hold(folder.name) for folder in (tree, git) if folder)


def _copy_source(shelf: Shelf, root: Path, home: Path) -> Scan:
    known = _known(shelf)
    for _ in range(_ATTEMPTS):
        try:
            seen = scan(root, home, known)
            put_tree(shelf, seen.id, _TREE, seen.manifest, root)
        except SourceChangedError as changed:
            last = changed
            continue
        if seen is not known:
            save(seen, shelf.folder / _SCAN)
        return seen
    raise EnvironmentMissingError(
        f"the source changes faster than it can be copied: {last}",
        hint="stop what writes there, or ignore the file",
    )


def _known(shelf: Shelf) -> Scan | None:
    file = shelf.folder / _SCAN
    name = saved_id(file)
    return load(file, read_manifest(shelf, name)) if name else None


def _prune(shelf: Shelf, needed: tuple[str, ...]) -> None:
    kept = {"tree": 0, "git": 0}
    for name in shelf.names():
        kind = "git" if name.startswith("git-") else "tree"
        exists = any(flavour.folder(shelf, name).is_dir() for flavour in _FLAVOURS)
        kept[kind] += exists
        if name not in needed and (not exists or kept[kind] > _KEPT):
            shelf.discard(name)
