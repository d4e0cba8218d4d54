"""A checkout of the source of this run as it is on this machine, uncommitted changes included."""

import shutil

from runner.actions.checkout.access import read_credentials
from runner.actions.checkout.place import below, empty, remove, write
from runner.actions.checkout.servers import server_of
from runner.actions.checkout.source import (
    borrowed,
    files_of,
    named_origin,
    origin,
    put_source,
    refuse_bound,
)
from runner.actions.checkout.tree import Tree
from runner.actions.checkout.wanted import Wanted
from runner.actions.checkout.work import Work, explained, working
from runner.actions.native import NativeCall
from runner.errors import InvalidInputError
from runner.expressions import to_string

#: The entry shared by all checkouts of a job, once there was one at the top of the workspace.
TOP, HERE, OTHER = "top", "here", "other"
_OF_GIT = (".git/index", ".git/config", ".git/config.worktree", ".git/info")


def check_out(call: NativeCall, wanted: Wanted) -> None:
    """The workspace is that from the start, so that most checkouts have nothing to do."""
    credentials = read_credentials(call, server_of(call))
    place = wanted.folder.removeprefix(call.workspace).lstrip("/") or "the workspace"
    is_there = wanted.is_top and (TOP not in call.shared or bool(call.source.bind))
    is_kept = wanted.is_top and not wanted.clean and call.shared.get(TOP) == HERE
    has_more = wanted.sparse or wanted.submodules or credentials
    if has_more or not (is_there or is_kept):
        with working(call, wanted, credentials) as work:
            if not (is_there or is_kept):
                _put(work)
            _adapt(work)
            work.keep_credentials()
    if wanted.is_top:
        call.shared[TOP] = HERE
    commit = to_string(call.github.get("sha"))
    shown = commit[:12] or "no commit yet"
    call.log(f"{place} is this repository as it is here ({shown}, changes included)")
    call.set_output("ref", to_string(call.github.get("ref")))
    call.set_output("commit", commit)


def _put(work: Work) -> None:
    refuse_bound(work, f"`path: {work.call.inputs['path']}`")
    empty(work.call, work.wanted.folder)
    put_source(work, work.wanted.folder)
    shutil.rmtree(work.folder / "tree", ignore_errors=True)


def _adapt(work: Work) -> None:
    """Add the submodules that are not here, and take away what `sparse-checkout` leaves out."""
    wanted = work.wanted
    if not wanted.sparse and not wanted.submodules:
        return
    if wanted.sparse:
        refuse_bound(work, "`sparse-checkout`")
    elif work.call.source.bind:
        work.call.warning("with `--bind`, submodules are as they are in your checkout")
        return
    tree = borrowed(work)
    if tree and wanted.submodules:
        _add_submodules(work, tree)
    if wanted.sparse:
        _narrow(work, tree)


def _add_submodules(work: Work, tree: Tree) -> None:
    missing = [path for path in tree.submodules() if not _is_in_source(work, path)]
    if not missing:
        return
    work.need_network("submodules that are not here")
    for layer in files_of(work):
        named = layer / ".gitmodules"
        if named.is_file() and not named.is_symlink():
            shutil.copyfile(named, tree.folder / ".gitmodules")
    url = origin(tree.git, work.call.project)
    with explained("the input `submodules`: not all could be fetched"), named_origin(tree.git, url):
        tree.fetch_submodules(work.access(url), work.wanted, missing)
    write(work.call, work.wanted.folder, tree.folder, below(*missing, *_OF_GIT, ".git/modules"))


def _is_in_source(work: Work, path: str) -> bool:
    return any(
        (layer / path).is_dir() and any((layer / path).iterdir()) for layer in files_of(work)
    )


def _narrow(work: Work, tree: Tree | None) -> None:
    if tree is None:
        raise InvalidInputError("`sparse-checkout` needs a git repository, and there is none here")
    with explained("the input `sparse-checkout`"):
        tree.narrow(work.wanted)
        left_out = tree.left_out()
    remove(work.call, work.wanted.folder, left_out)
    write(work.call, work.wanted.folder, tree.folder, below(*_OF_GIT))
