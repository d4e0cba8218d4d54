"""What boxes stand on: the source of a run, as their engine takes it."""

from pathlib import Path

from runner.engines.box import Workspace
from runner.engines.warm import Release
from runner.project import Difference, Snapshot, difference, open_variant


def workspace_of(snapshot: Snapshot | None, checkout: Path) -> Workspace:
    """The source as jobs get it: layers that nobody writes to, or the checkout itself."""
    if snapshot is None:
        return Workspace(bind=checkout)
    git = (snapshot.git,) if snapshot.git else ()
    return Workspace(
        layers=(*git, snapshot.tree),
        objects=snapshot.objects,
        open_layers=lambda: (*git, open_variant(snapshot)),
    )


def ground_on(snapshot: Snapshot | None, checkout: Path) -> tuple[Workspace, Release]:
    """What a box can stand on for as long as it likes; the snapshot is let go in the end."""
    release = snapshot.release if snapshot else lambda: None
    return workspace_of(snapshot, checkout), release


def between(old: Workspace, new: Workspace) -> Difference:
    """What makes a tree on the one a tree on the other."""
    before, after = _snapshot(old), _snapshot(new)
    return difference(before, after) if before and after else Difference()


def _snapshot(workspace: Workspace) -> Snapshot | None:
    if workspace.bind:
        return None
    *git, tree = workspace.layers
    return Snapshot(tree.name, tree.parent, tree, git[0] if git else None, tuple(workspace.objects))
