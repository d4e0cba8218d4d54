"""Whether a folder can be shared: it can be written, and locks in it count on every machine."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
#: Options of mounts whose locks only this machine knows of.
_LOCAL_LOCKS = {"nolock", "local_lock=all", "local_lock=flock", "nobrl"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: its kind, such as `nfs4`, and its options."""

    point: Path
    kind: str
    options: frozenset[str]


def why_not_shared(folder: Path) -> str:
    """What keeps machines from sharing the folder; empty when nothing does that is seen from here."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".pipe-doctor-", dir=folder) as file:
            if not _is_lock_seen(Path(file.name)):
                return "a lock on a file there keeps nobody out"
    except OSError as error:
        return f"it cannot be used: {error.strerror or error}"
    mount = mount_of(folder)
    local = sorted(mount.options & _LOCAL_LOCKS) if mount else []
    return f"it is mounted with `{local[0]}`: other machines do not see locks" if local else ""


def _is_lock_seen(file: Path) -> bool:
    first, second = (os.open(file, os.O_RDWR | os.O_CLOEXEC) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(first)
        os.close(second)
    return False


def mount_of(folder: Path) -> Mount | None:
    """The file system that a folder is in; None where the system does not tell."""
    if not _MOUNTS.exists():
        return None
    here = folder.resolve()
    around = [mount for mount in _mounts(_MOUNTS.read_text()) if here.is_relative_to(mount.point)]
    # Of those at one place the last one covers the others.
    return max(reversed(around), key=lambda mount: len(mount.point.parts), default=None)


def _mounts(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        own, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        fields = own.split(" ")
        every = f"{fields[5]},{options}".split(",")
        point = (
            fields[4].encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")
        )
        yield Mount(Path(point), kind, frozenset(every))
