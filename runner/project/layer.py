"""The `.git` that a job sees: this repository's refs and index over read-only objects."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.errors import EnvironmentMissingError
from runner.project.checkout import Checkout, start_git
from runner.project.git import GitFacts
from runner.project.remote import without_credentials
from runner.project.shelf import Shelf

#: Where the object folders are mounted in the box, each at its number.
OBJECTS_IN_BOX = "/github/objects"
_REFS = ("refs/heads", "refs/tags", "refs/remotes", "refs/notes", "refs/pull")
_FOLDERS = ("objects/info", "objects/pack", "refs/heads", "refs/tags")
_CORE = ("autocrlf", "eol", "filemode", "ignorecase", "symlinks", "precomposeunicode")
_REMOTE = ("fetch", "tagopt", "promisor", "partialclonefilter")
_BRANCH = ("remote", "merge", "rebase")
#: The copies have other inodes than the files that the index was made from.
_CHECKS = {"core.checkstat": ("minimal",), "core.trustctime": ("false",)}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})

_Settings = Mapping[str, tuple[str, ...]]


def object_folders(checkout: Checkout) -> tuple[Path, ...]:
    """The repository's object folder and those that it borrows from, nearest first."""
    found: dict[Path, None] = {}
    waiting = [checkout.common_dir / "objects"]
    while waiting:
        folder = waiting.pop(0).resolve()
        if folder.is_dir() and folder not in found:
            found[folder] = None
            waiting += _alternates(folder)
    return tuple(found)


def make_layer(shelf: Shelf, facts: GitFacts) -> str:
    """Put the `.git` for these facts on the shelf, unless it is there; its name.

    Raises EnvironmentMissingError when git cannot list the refs.
    """
    files = dict(_files(facts))
    name = _name(files)
    if not (shelf.folder / name).is_dir():
        with shelf.temporary() as folder:
            _write(folder / ".git", files)
            _date_index(facts.checkout, folder / ".git")
            folder.chmod(0o777)
            shelf.add(name)
            folder.rename(shelf.folder / name)
    return name


def is_whole_layer(folder: Path) -> bool:
    """Whether a layer on the shelf holds what its name says."""
    top = folder / ".git"
    files = {
        str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()
    }
    return _name(files) == folder.name


def _files(facts: GitFacts) -> Iterator[tuple[str, bytes]]:
    checkout = facts.checkout
    yield "HEAD", _head(facts)
    yield "config", _config(_kept_settings(facts.settings))
    yield "packed-refs", _packed_refs(checkout)
    yield "objects/info/alternates", _in_box(object_folders(checkout))
    for folder, name in _copied(checkout):
        if (folder / name).is_file():
            yield name, (folder / name).read_bytes()


def _copied(checkout: Checkout) -> Iterator[tuple[Path, str]]:
    yield checkout.git_dir, "index"
    for shared in checkout.git_dir.glob("sharedindex.*"):
        yield checkout.git_dir, shared.name
    yield checkout.common_dir, "shallow"
    yield checkout.common_dir, "info/exclude"
    yield checkout.common_dir, "info/attributes"


def _head(facts: GitFacts) -> bytes:
    head = f"ref: refs/heads/{facts.branch}" if facts.branch else facts.sha
    return os.fsencode(head) + b"\n"


def _packed_refs(checkout: Checkout) -> bytes:
    process = start_git(checkout, "for-each-ref", "--format=%(objectname) %(refname)", *_REFS)
    if process is None:
        raise EnvironmentMissingError("git is not installed any more")
    out, problem = process.communicate()
    if process.returncode != 0:
        raise EnvironmentMissingError(
            f"git could not list the refs: {os.fsdecode(problem).strip()}"
        )
    return out


def _in_box(folders: tuple[Path, ...]) -> bytes:
    return "".join(f"{OBJECTS_IN_BOX}/{index}\n" for index in range(len(folders))).encode()


def _alternates(folder: Path) -> list[Path]:
    file = folder / "info" / "alternates"
    if not file.is_file():
        return []
    lines = os.fsdecode(file.read_bytes()).splitlines()
    return [folder / line for line in lines if line and not line.startswith("#")]


def _name(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"git-{digest.hexdigest()[:32]}"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for below in _FOLDERS:
        (folder / below).mkdir(parents=True)
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o666)
    for made in (folder, *filter(Path.is_dir, folder.rglob("*"))):
        made.chmod(0o777)


def _date_index(checkout: Checkout, folder: Path) -> None:
    # git reads a file again that is as young as the index. Whole seconds, as it compares no more
    # of the files' times here; and no younger than the original, or it would miss late changes.
    copy = folder / "index"
    if copy.is_file():
        seconds = int((checkout.git_dir / "index").stat().st_mtime)
        os.utime(copy, (seconds, seconds))


def _kept_settings(settings: _Settings) -> dict[str, tuple[str, ...]]:
    kept = {key: values for key, values in settings.items() if _is_kept(key)}
    for key, values in settings.items():
        if key.startswith("remote.") and key.endswith((".url", ".pushurl")):
            kept[key] = tuple(map(without_credentials, values))
    version = settings.get("core.repositoryformatversion", ("0",))
    return kept | {"core.repositoryformatversion": version, "core.bare": ("false",)} | _CHECKS


def _is_kept(key: str) -> bool:
    section, _, rest = key.partition(".")
    last = rest.rpartition(".")[2]
    return (
        (section == "core" and rest in _CORE)
        or (section == "remote" and last in _REMOTE)
        or (section == "branch" and last in _BRANCH)
        or key in ("extensions.objectformat", "extensions.partialclone")
    )


def _config(settings: _Settings) -> bytes:
    lines = [
        line
        for key, values in settings.items()
        for value in values
        for line in _setting(key, value)
    ]
    return os.fsencode("\n".join(lines) + "\n")


def _setting(key: str, value: str) -> tuple[str, str]:
    section, _, rest = key.partition(".")
    part, _, name = rest.rpartition(".")
    quoted = part.translate(_ESCAPES)
    header = f'[{section} "{quoted}"]' if part else f"[{section}]"
    return header, f'\t{name} = "{value.translate(_ESCAPES)}"'
