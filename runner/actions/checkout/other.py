"""A checkout of another commit of this repository, or of another repository."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from runner.actions.checkout.access import read_credentials
from runner.actions.checkout.here import OTHER, TOP
from runner.actions.checkout.place import discard, empty, is_empty, remove, write
from runner.actions.checkout.servers import server_of, url_of
from runner.actions.checkout.source import borrowed, named_origin, origin, refuse_bound
from runner.actions.checkout.tree import Tree
from runner.actions.checkout.wanted import Wanted
from runner.actions.checkout.work import Work, explained, working
from runner.actions.git import COMMIT
from runner.actions.native import NativeCall
from runner.actions.refs import Target, find_here
from runner.actions.repositories import Repositories, Request
from runner.errors import InvalidInputError
from runner.expressions import to_string
from runner.project.remote import without_credentials


@dataclass(frozen=True, slots=True)
class _Begun:
    """A tree whose `.git` has what is to be checked out; `replaced` are the files of the source
    that go, if not all go."""

    tree: Tree
    target: Target
    url: str
    name: str
    replaced: tuple[str, ...] = ()
    is_own: bool = True


def check_out(call: NativeCall, wanted: Wanted) -> None:
    """Make it here, then have it in the box in the place of what was there."""
    credentials = read_credentials(call, server_of(call))
    with working(call, wanted, credentials) as work:
        if wanted.is_top:
            refuse_bound(work, "this checkout")
        begun = _begin_other(work) if wanted.repository else _begin_own(work)
        commit = _complete(work, begun)
        _put(work, begun)
        work.keep_credentials()
    if wanted.is_top:
        call.shared[TOP] = OTHER
    shown = begun.target.ref or "a commit"
    call.log(f"{begun.name} is at {commit} ({shown})")
    call.set_output("ref", "" if COMMIT.fullmatch(wanted.ref) else wanted.ref or begun.target.ref)
    call.set_output("commit", commit)


def _begin_own(work: Work) -> _Begun:
    """From the objects on this machine, or from the server when they lack it."""
    call, wanted = work.call, work.wanted
    name = to_string(call.github.get("repository"))
    tree = borrowed(work)
    if tree is None:
        raise InvalidInputError(
            f"`ref: {wanted.ref}`: the source of this run is no git repository",
            hint="leave `ref` out to work on the source as it is here",
        )
    replaced = tuple(tree.tracked()) if _keeps_others(work) else ()
    url = origin(tree.git, call.project)
    target = find_here(tree.git, wanted.ref)
    if target:
        # A repository that was cloned in part may lack the files of another commit.
        tree = tree if call.actions.offline else tree.reaching(work.access(url))
        return _Begun(tree, target, url, name, replaced)
    shutil.rmtree(tree.folder)
    if work.credentials or call.inputs["github-server-url"]:
        url = url_of(call, name)
    return _begin_with(work, url, name, replaced)


def _begin_other(work: Work) -> _Begun:
    name = work.wanted.repository
    folder = work.call.actions.sources.get(name.lower())
    if folder is None:
        return _begin_with(work, url_of(work.call, name), name)
    work.call.log(f"{name} is the folder {folder}")
    return _begin_with(work, folder.as_uri(), name, is_kept=False)


def _begin_with(
    work: Work, url: str, name: str, replaced: Sequence[str] = (), *, is_kept: bool = True
) -> _Begun:
    """From a repository elsewhere, which is kept on this machine unless it is there anyway."""
    call, wanted = work.call, work.wanted
    access = work.access(url)
    request = Request(name, url, wanted.ref, wanted.depth, wanted.tags, access)
    repositories = Repositories(call.actions.home, call.actions.offline, work.check)
    found = repositories.find(request) if is_kept else repositories.look(request)
    if found.note:
        call.log(found.note)
    tree = work.tree()
    with explained(f"`{name}` could not be read"):
        tree.fetch(found, wanted)
    return _Begun(tree, found.target, url, name, tuple(replaced), is_own=False)


def _complete(work: Work, begun: _Begun) -> str:
    """Have all files that are wanted in the tree; gives its commit."""
    tree, wanted = begun.tree, work.wanted
    with explained(f"`{begun.name}` could not be checked out"):
        commit = tree.check_out(begun.target, wanted)
        if not begun.is_own:
            tree.name_origin(without_credentials(begun.url))
    access = work.access(begun.url)
    if wanted.lfs:
        work.need_network("what `lfs: true` wants")
        with explained("the input `lfs`: not all files could be fetched"):
            tree.fetch_large_files(access)
    if wanted.submodules and tree.submodules():
        work.need_network("the submodules")
        with (
            explained("the input `submodules`: not all could be fetched"),
            named_origin(tree.git, begun.url),
        ):
            tree.fetch_submodules(access, wanted)
    return commit


def _put(work: Work, begun: _Begun) -> None:
    call, folder = work.call, work.wanted.folder
    begun.tree.lend(call.box.facts.objects)
    if call.source.bind and not is_empty(call, folder):
        refuse_bound(work, f"`path: {call.inputs['path']}`, where something is already,")
    if begun.replaced:
        remove(call, folder, begun.replaced)
        discard(call, f"{folder}/.git")
    else:
        empty(call, folder)
    write(call, folder, begun.tree.folder)


def _keeps_others(work: Work) -> bool:
    """Whether files that git does not know stay: those beside the source of this run."""
    wanted = work.wanted
    return wanted.is_top and not wanted.clean and work.call.shared.get(TOP) != OTHER
