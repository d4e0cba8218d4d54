"""The inputs of the actions that Pipe runs itself, in their newest version."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActionInputs:
    """Which inputs an action has; `required` are those that have no default either."""

    names: frozenset[str]
    required: frozenset[str] = frozenset()


#: What is known of the action that a `uses` names; None when it is not known.
Actions = Callable[[str], ActionInputs | None]


def _inputs(names: str, required: str = "") -> ActionInputs:
    needed = frozenset(required.split())
    return ActionInputs(frozenset(names.split()) | needed, needed)


KNOWN: Mapping[str, ActionInputs] = {
    "actions/checkout": _inputs(
        "repository ref token ssh-key ssh-known-hosts ssh-strict ssh-user persist-credentials path "
        "clean filter sparse-checkout sparse-checkout-cone-mode fetch-depth fetch-tags "
        "show-progress lfs submodules set-safe-directory github-server-url"
    ),
    "actions/upload-artifact": _inputs(
        "name if-no-files-found retention-days compression-level overwrite include-hidden-files "
        "archive",
        required="path",
    ),
    "actions/download-artifact": _inputs(
        "name artifact-ids path pattern merge-multiple github-token repository run-id"
    ),
    "actions/cache": _inputs(
        "restore-keys upload-chunk-size enableCrossOsArchive fail-on-cache-miss lookup-only",
        required="path key",
    ),
    "actions/cache/restore": _inputs(
        "restore-keys enableCrossOsArchive fail-on-cache-miss lookup-only", required="path key"
    ),
    "actions/cache/save": _inputs("upload-chunk-size enableCrossOsArchive", required="path key"),
}


def known_inputs(uses: str) -> ActionInputs | None:
    """The inputs of an action that is known by its name, at any version."""
    return KNOWN.get(uses.partition("@")[0].lower())
