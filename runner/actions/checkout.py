"""`actions/checkout` of this repository: the workspace is a copy of it already."""

from collections.abc import Mapping
from typing import Any

from runner.actions.native import ActionInput, NativeAction, NativeCall
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
#: Those that choose another tree.
_CHOOSING = ("repository", "ref", "path", "sparse-checkout", "sparse-checkout-cone-mode")


def checkout(call: NativeCall) -> None:
    """Say what is there. Raises InvalidInputError for a tree that is not the one here."""
    for name, value in call.inputs.items():
        if name in _WITHOUT_EFFECT or value in _present(name, call.github):
            continue
        raise InvalidInputError(
            f"`{NAME}` with `{name}: {value}` is not supported yet: "
            "only this repository, as it is on this machine, can be checked out",
            hint="leave the step's `with` out to work on the source as it is here",
        )
    commit = to_string(call.github.get("sha"))[:12] or "no commit yet"
    call.log(f"the workspace is this repository as it is here ({commit}, changes included)")
    call.set_output("ref", to_string(call.github.get("ref")))
    call.set_output("commit", to_string(call.github.get("sha")))


def _present(name: str, github: Mapping[str, Any]) -> frozenset[str]:
    """The values of an input that ask for what is there already."""
    known = {
        "repository": ("repository",),
        "ref": ("ref", "sha", "ref_name", "head_ref"),
    }.get(name, ())
    return frozenset(
        {"", *("." if name == "path" else ""), *(to_string(github.get(k)) for k in known)}
    )


CHECKOUT = NativeAction(
    name=NAME,
    inputs={name: ActionInput() for name in (*sorted(_WITHOUT_EFFECT), *_CHOOSING)},
    outputs=("ref", "commit"),
    main=checkout,
)
