"""Which file the `uses` of a job means: one of the project, or one of another repository."""

import posixpath
import re
from dataclasses import dataclass

#: The suffix keeps files of the project whose names hold an `@` apart.
_REMOTE = re.compile(r"([^/@\s]+)/([^/@\s]+)/([^@]+\.ya?ml)@(\S+)")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file in another repository, at a branch, a tag or a commit."""

    owner: str
    repository: str
    path: str
    ref: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.repository}/{self.path}@{self.ref}"


def target(uses: str, caller: str) -> str:
    """What `uses` in the file `caller` means, in the one way in which it is written everywhere.

    That is a path from the project's root on, or a `Remote` as text; "" for what is neither. A
    local path in a file of another repository means that repository at the same version.
    """
    if not uses.startswith(("./", "$/")):
        found = remote(uses)
        return str(found) if found and _is_inside(found.path) else ""
    path = posixpath.normpath(f"./{uses[2:]}")
    if not _is_inside(path):
        return ""
    around = remote(caller)
    if around is None:
        return path
    return str(Remote(around.owner, around.repository, path, around.ref))


def remote(target: str) -> Remote | None:
    """The parts of a target in another repository; None for one in the project."""
    match = _REMOTE.fullmatch(target)
    return Remote(*match.groups()) if match else None


def _is_inside(path: str) -> bool:
    return path != "." and ".." not in path.split("/")
