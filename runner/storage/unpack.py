"""An artifact as files of the user, in a folder that is complete or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from runner.errors import InvalidInputError
from runner.storage.shared import clear_errors
from runner.storage.tar_read import BadArchiveError, Member, Piece, members, shown
from runner.storage.untrusted import safe_name


def unpack(blocks: Iterable[bytes], folder: Path) -> None:
    """Make `folder`, which must not hold anything yet, the content of a stored artifact.

    Nobody can meddle with it meanwhile: it is filled in a place of its own, and takes its name at
    the end. Raises InvalidInputError when there is something already, EnvironmentMissingError when
    the disk does not take it, and what reading raises; nothing is left behind then.
    """
    check_empty(folder)
    with clear_errors():
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for member, content in members(blocks):
            with clear_errors():
                _place(part, member, content)
        with clear_errors():
            part.chmod(0o777 & ~_umask())
            with suppress(FileNotFoundError):
                folder.rmdir()
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_empty(folder: Path) -> None:
    """Raises InvalidInputError when there is something that unpacking could damage."""
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise InvalidInputError(
            f"{folder} is there already", hint="name a folder that does not exist, or is empty"
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _place(top: Path, member: Member, content: Iterator[Piece]) -> None:
    # Checked when it was stored; once more, since a file of ours may have been replaced since.
    target = top / safe_name(member.name)
    if member.kind == "link":
        raise BadArchiveError(f"{shown(member.name)} is a symbolic link, which is not unpacked")
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.kind == "hardlink":
        shutil.copyfile(top / safe_name(member.target), target)
        return
    with target.open("xb", buffering=0) as file:
        for piece in content:
            _write_all(file.fileno(), piece)
    os.utime(target, (member.mtime, member.mtime))


def _write_all(file: int, piece: Piece) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(file, left) :]


def _umask() -> int:
    before = os.umask(0o077)
    os.umask(before)
    return before
