"""Which files belong to a source tree: what git does not ignore, or all but `.pipeignore`."""

# Names in a tree are bytes and need not be text, which pathlib cannot hold.
# ruff: noqa: PTH118

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.errors import EnvironmentMissingError
from runner.project.checkout import checkout_at, start_git

IGNORE_FILE = ".pipeignore"
_LIST = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")

Listing = subprocess.Popen[bytes]
_Ignored = Callable[[bytes], bool]


def start_listing(root: Path) -> Listing | None:
    """The git process that lists the checkout at `root`; None if it is none or git is missing."""
    checkout = checkout_at(root)
    return start_git(checkout, *_LIST) if checkout else None


def finish_listing(root: Path, listing: Listing) -> bytes:
    """What git printed: paths, each ended by NUL, in an order that depends on the tree alone.

    Raises EnvironmentMissingError with git's own words when it failed.
    """
    out, problem = listing.communicate()
    if listing.returncode != 0:
        reason = os.fsdecode(problem).strip() or f"exit code {listing.returncode}"
        raise EnvironmentMissingError(
            f"git could not list the files of {root}: {reason}",
            hint="`git status` should work there first",
        )
    return out


def source_paths(root: Path, listed: bytes | None) -> set[bytes]:
    """Paths of the tree at `root`; one that ends in `/` is a folder that may be empty.

    `listed` is what `finish_listing` gave, or None without git. Untracked repositories inside the
    tree give their own files. Submodules are listed like files, and paths may be gone by now.
    """
    if listed is None:
        return set(_walk(root))
    paths = set(listed.split(b"\0")) - {b""}
    if b"/\0" not in listed:
        return paths
    repositories = {path for path in paths if path.endswith(b"/")}
    return paths.difference(repositories).union(
        *(nested_paths(root, path.rstrip(b"/")) for path in repositories)
    )


def nested_paths(root: Path, folder: bytes) -> set[bytes]:
    """Paths that a folder which git lists like a file stands for: the files of its own repository.

    Without one (a submodule that was never fetched) it is the folder alone.
    """
    inner = root / os.fsdecode(folder)
    listing = start_listing(inner)
    if listing is None:
        return {folder + b"/"}
    return {folder + b"/" + path for path in source_paths(inner, finish_listing(inner, listing))}


def _walk(root: Path) -> Iterator[bytes]:
    return _walk_folder(os.fsencode(root), b"", ignore_rules(root / IGNORE_FILE))


def _walk_folder(root: bytes, prefix: bytes, ignored: _Ignored) -> Iterator[bytes]:
    with os.scandir(os.path.join(root, prefix) or b".") as entries:
        found = [entry for entry in entries if entry.name != b".git"]
    if prefix and not found:
        yield prefix
    for entry in found:
        path = prefix + entry.name
        if not entry.is_dir(follow_symlinks=False):
            if not ignored(path):
                yield path
        elif not ignored(path + b"/"):
            yield from _walk_folder(root, path + b"/", ignored)


def ignore_rules(file: Path) -> _Ignored:
    """Whether a path (a folder's ends in `/`) is ignored by the rules in `file`, if it exists."""
    if not file.is_file():
        return lambda _path: False
    import pathspec

    rules = pathspec.GitIgnoreSpec.from_lines(file.read_text(errors="replace").splitlines())
    return lambda path: rules.match_file(os.fsdecode(path))
