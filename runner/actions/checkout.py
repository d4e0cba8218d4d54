"""`actions/checkout` of this repository: the workspace is a copy of it already."""

from collections.abc import Mapping
from typing import Any

from runner.errors import InvalidInputError
from runner.expressions import to_string

NAME = "actions/checkout"
#: Inputs that change nothing for a tree that is here with its whole history.
_WITHOUT_EFFECT = frozenset(
    (
        *("clean", "fetch-depth", "fetch-tags", "filter", "lfs", "persist-credentials"),
        *("set-safe-directory", "show-progress", "ssh-key", "ssh-known-hosts", "ssh-strict"),
        *("ssh-user", "submodules", "token", "github-server-url"),
    )
)


def checkout(with_: Mapping[str, Any], github: Mapping[str, Any]) -> str:
    """What to tell the user. Raises InvalidInputError for a tree that is not the one here."""
    for name, value in with_.items():
        if name in _WITHOUT_EFFECT or to_string(value) in _present(name, github):
            continue
        raise InvalidInputError(
            f"`{NAME}` with `{name}: {to_string(value)}` is not supported yet: "
            "only this repository, as it is on this machine, can be checked out",
            hint="leave the step's `with` out to work on the source as it is here",
        )
    commit = to_string(github.get("sha"))[:12] or "no commit yet"
    return f"the workspace is this repository as it is here ({commit}, changes included)"


def _present(name: str, github: Mapping[str, Any]) -> frozenset[str]:
    """The values of an input that ask for what is there already."""
    known = {
        "repository": ("repository",),
        "ref": ("ref", "sha", "ref_name", "head_ref"),
    }.get(name, ())
    return frozenset(
        {"", *("." if name == "path" else ""), *(to_string(github.get(k)) for k in known)}
    )
