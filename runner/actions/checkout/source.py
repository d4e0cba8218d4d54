"""The source of this run as a checkout sees it: the layers that its workspace was made from."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.actions.checkout.place import write
from runner.actions.checkout.tree import Tree
from runner.actions.checkout.work import Work
from runner.actions.git import Git, GitError, is_folder
from runner.errors import InvalidInputError

_URL = "remote.origin.url"


def dot_git(work: Work) -> Path | None:
    """The `.git` that was made for this run; None without git."""
    found = (layer / ".git" for layer in work.call.source.layers)
    return next((folder for folder in found if folder.is_dir()), None)


def borrowed(work: Work) -> Tree | None:
    """A tree with that `.git`, and no files yet."""
    made_for_run = dot_git(work)
    if made_for_run is None:
        return None
    tree = work.tree()
    tree.borrow(made_for_run, work.call.source.objects)
    return tree


def files_of(work: Work) -> Iterator[Path]:
    """The folders that hold the source's files, `.git` aside."""
    for layer in reversed(work.call.source.layers):
        if not (layer / ".git").is_dir():
            yield layer


def put_source(work: Work, folder: str) -> None:
    """Give the box the source as it is here, once more."""
    for layer in files_of(work):
        write(work.call, folder, layer)
    tree = borrowed(work)
    if tree:
        tree.lend(work.call.box.facts.objects)
        write(work.call, folder, tree.folder)


def refuse_bound(work: Work, what: str) -> None:
    """Raises InvalidInputError when the workspace is the user's own checkout."""
    if work.call.source.bind:
        raise InvalidInputError(
            f"{what} would change your checkout, which is the workspace",
            hint="leave `--bind` out; the job then works in a copy",
        )


def origin(git: Git, project: str) -> str:
    """The URL of the source's own repository, and the source itself if it has none."""
    try:
        url = git.run("config", "--get", _URL).strip()
    except GitError:
        return project
    # Relative folders are meant from the checkout on, which is somewhere else.
    return posixpath.join(project, url) if is_folder(url) and "://" not in url else url


@contextmanager
def named_origin(git: Git, url: str) -> Iterator[None]:
    """Have relative URLs of submodules begin at `url`."""
    before = git.run("config", "--default", "", "--get", _URL).strip()
    git.run("config", _URL, url)
    try:
        yield
    finally:
        git.run("config", *([_URL, before] if before else ["--unset", _URL]))
