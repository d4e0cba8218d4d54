"""Copies of small folders, made here: a program that copies takes longer to start than to do it."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

#: More than that is for a program, which lets other threads work meanwhile.
MOST_ENTRIES = 100
MOST_BYTES = 4 << 20

#: Where something is, where it is to be, and what it is.
_Entry = tuple[str, str, os.stat_result]


class NotSmallError(Exception):
    """It is more than that, or holds something that this does not know how to copy."""


def copy_small(layers: Sequence[Path], target: Path) -> None:
    """Copy what is in `layers` into the folder `target`, with modes and times.

    Raises NotSmallError before anything is copied, and OSError.
    """
    entries: dict[str, _Entry] = {}
    size = 0
    for layer in layers:
        for entry in _walk(str(layer), str(target), os.stat(layer)):  # noqa: PTH116 - faster
            # What an upper layer has lies over what a lower one has.
            entries[entry[1]] = entry
            size += entry[2].st_size
            if len(entries) > MOST_ENTRIES or size > MOST_BYTES:
                raise NotSmallError
    for source, copy, status in entries.values():
        _copy(source, copy, status)
    # Once nothing more is put into a folder, which changes its time and may be forbidden.
    for _, copy, status in reversed(entries.values()):
        if stat.S_ISDIR(status.st_mode):
            os.chmod(copy, stat.S_IMODE(status.st_mode))  # noqa: PTH101 - faster
            _keep_times(copy, status)


def _walk(source: str, target: str, status: os.stat_result) -> Iterator[_Entry]:
    """The folder, and all that is in it; each folder before what it holds."""
    yield source, target, status
    with os.scandir(source) as found:
        for each in found:
            status = each.stat(follow_symlinks=False)
            if not _is_plain(status):
                raise NotSmallError
            place = f"{target}/{each.name}"
            if stat.S_ISDIR(status.st_mode):
                yield from _walk(each.path, place, status)
            else:
                yield each.path, place, status


def _is_plain(status: os.stat_result) -> bool:
    """Whether it is no device, has one name, and belongs to this user, as what we make does."""
    mode = status.st_mode
    is_file = stat.S_ISREG(mode) and status.st_nlink == 1
    is_known = is_file or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)
    return is_known and (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


def _copy(source: str, target: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211 - faster
        _keep_times(target, status)
    elif stat.S_ISREG(status.st_mode):
        _copy_file(source, target, status)
    elif not os.path.isdir(target):  # noqa: PTH112 - faster
        os.mkdir(target)  # noqa: PTH102 - faster


def _copy_file(source: str, target: str, status: os.stat_result) -> None:
    original = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while data := os.read(original, MOST_BYTES):
                while data:
                    data = data[os.write(copy, data) :]
            os.fchmod(copy, stat.S_IMODE(status.st_mode))
            _keep_times(copy, status)
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _keep_times(copy: str | int, status: os.stat_result) -> None:
    times = status.st_atime_ns, status.st_mtime_ns
    if isinstance(copy, int):
        os.utime(copy, ns=times)
    else:
        os.utime(copy, ns=times, follow_symlinks=False)
