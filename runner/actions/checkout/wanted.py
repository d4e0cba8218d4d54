"""What a checkout step asks for: its inputs, read once and held against what they may be."""

import posixpath
import re
from dataclasses import dataclass

from runner.actions.git import COMMIT
from runner.actions.inputs import lines
from runner.actions.native import ActionInput, NativeCall
from runner.actions.paths import is_in
from runner.actions.reference import is_ref
from runner.errors import InvalidInputError
from runner.expressions import to_string

#: Every input and its default. `token` has none here: git's own credentials on this machine serve.
INPUTS = {
    name: ActionInput(default)
    for name, default in {
        "repository": "",
        "ref": "",
        "token": "",
        "ssh-key": "",
        "ssh-known-hosts": "",
        "ssh-strict": "true",
        "ssh-user": "git",
        "persist-credentials": "true",
        "path": "",
        "clean": "true",
        "filter": "",
        "sparse-checkout": "",
        "sparse-checkout-cone-mode": "true",
        "fetch-depth": "1",
        "fetch-tags": "false",
        "show-progress": "true",
        "lfs": "false",
        "submodules": "false",
        "set-safe-directory": "true",
        "github-server-url": "",
    }.items()
}
_REPOSITORY = re.compile(
    r"(?!\.{1,2}/)[A-Za-z0-9._][A-Za-z0-9._-]*/(?!\.{1,2}$)[A-Za-z0-9._][A-Za-z0-9._-]*"
)
_FILTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9:=+,.%/_-]*")
_DEEPEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """The inputs that say what is to be where. `repository` is empty for the one of this run, `ref`
    for what is here, or the default branch; `folder` is absolute, as a step sees it."""

    repository: str
    ref: str
    folder: str
    is_top: bool
    depth: int
    tags: bool
    filter: str
    sparse: tuple[str, ...]
    cone: bool
    clean: bool
    lfs: bool
    submodules: bool
    recursive: bool


def read_wanted(call: NativeCall) -> Wanted:
    """Raises InvalidInputError."""
    folder = _folder(call)
    submodules = call.inputs["submodules"].lower()
    return Wanted(
        repository=_repository(call),
        ref=_ref(call),
        folder=folder,
        is_top=folder == call.workspace,
        depth=_depth(call),
        tags=flag(call, "fetch-tags"),
        filter=_filter(call.inputs["filter"]),
        sparse=tuple(lines(call, "sparse-checkout")),
        cone=flag(call, "sparse-checkout-cone-mode"),
        clean=flag(call, "clean"),
        lfs=flag(call, "lfs"),
        submodules=submodules == "recursive" or flag(call, "submodules"),
        recursive=submodules == "recursive",
    )


def value(call: NativeCall, name: str) -> str:
    """An input; one that is given and empty is as one that is not given."""
    return call.inputs[name] or INPUTS[name].default


def flag(call: NativeCall, name: str) -> bool:
    """An input that is `true` or `false`."""
    given = value(call, name)
    if given.lower() not in ("true", "false"):
        raise InvalidInputError(
            f"the input `{name}` is `{given}`", hint="it has to be `true` or `false`"
        )
    return given.lower() == "true"


def _depth(call: NativeCall) -> int:
    given = value(call, "fetch-depth")
    if not (given.isascii() and given.isdecimal() and int(given[:19]) <= _DEEPEST):
        raise InvalidInputError(
            f"the input `fetch-depth` is `{given}`",
            hint="it is a number of commits; 0 is the whole history",
        )
    return int(given)


def _repository(call: NativeCall) -> str:
    name = call.inputs["repository"].removesuffix("/")
    if name.lower() in ("", to_string(call.github.get("repository")).lower()):
        return ""
    if not _REPOSITORY.fullmatch(name):
        raise InvalidInputError(
            f"`repository: {name}` names no repository", hint="write `owner/name`"
        )
    return name


def _ref(call: NativeCall) -> str:
    ref = call.inputs["ref"]
    if ref and not is_ref(ref):
        raise InvalidInputError(
            f"`ref: {ref}` names no ref", hint="a ref is a branch, a tag or a full commit id"
        )
    return ref.lower() if COMMIT.fullmatch(ref.lower()) else ref


def _folder(call: NativeCall) -> str:
    path = call.inputs["path"]
    folder = posixpath.normpath(posixpath.join(call.workspace, path))
    if not is_in(folder, call.workspace) or is_in(folder, f"{call.workspace}/.git"):
        raise InvalidInputError(
            f"`path: {path}` is not below the workspace", hint="write a path relative to it"
        )
    return folder


def _filter(text: str) -> str:
    if text and not _FILTER.fullmatch(text):
        raise InvalidInputError(f"`filter: {text}` is no filter of git's", hint="try `blob:none`")
    return text
