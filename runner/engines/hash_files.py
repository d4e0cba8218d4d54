"""`hashFiles`: which files of a job's box the patterns select, and one hash over all of them."""

import hashlib
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from runner.engines.box import Deadline, Stop
from runner.engines.globs import parse_patterns, selects, starts, walk_order
from runner.engines.script import Ended, RunsProcesses, run_script
from runner.errors import InvalidInputError

#: Seconds that all of one `hashFiles` may take.
LIMIT = 120.0
FOLLOW = "--follow-symbolic-links"
#: Bytes of paths for one call of a program; systems take at least twice as much.
ARGUMENTS = 60_000

#: Prints, each followed by NUL: the files below each path, an empty record after each path, and
#: for a link to a folder `link`, its path and where it leads.
_FIND = """\
shift
for path; do
  if [ -e "$path" ] || [ -L "$path" ]; then
    find "$path" -type f -print0 -o -type l -exec /bin/sh -c '
      for link; do
        if [ -f "$link" ]; then printf "%s\\0" "$link"
        elif [ -d "$link" ]; then printf "link\\0%s\\0%s\\0" "$link" "$(cd -P "$link" && pwd)"
        fi
      done' sh {} + || exit
  fi
  printf "\\0"
done
"""


def hash_files(box: RunsProcesses, workspace: str, patterns: Sequence[str]) -> str:
    """SHA-256, in hex, over the digests of the selected files in walk order; "" when there is none.

    The first pattern may be the option to follow symbolic links. Raises InvalidInputError for a
    pattern that is wrong, a file that cannot be read, and when it takes longer than two minutes.
    """
    follow = bool(patterns) and _is_option(patterns[0])
    stop = Deadline(time.monotonic() + LIMIT)
    found = find_files(box, workspace, patterns[follow:], stop, follow=follow)
    digests = list(_digests(box, found, stop))
    return hashlib.sha256(b"".join(digests)).hexdigest() if digests else ""


def find_files(
    box: RunsProcesses, workspace: str, patterns: Iterable[str], stop: Stop, *, follow: bool = False
) -> list[str]:
    """Absolute paths of the files in the workspace that the patterns select, in walk order.

    Links to files count as files; links to folders are walked with `follow` alone.
    """
    lines = list(patterns)
    chosen = parse_patterns(lines, workspace, _home(box, lines, stop))
    roots = [_Root(path, path) for path in starts(chosen, workspace)]
    return [
        path
        for listed in _list(box, roots, stop, follow=follow)
        for path in sorted(listed, key=walk_order)
        if path.startswith(f"{workspace}/") and selects(chosen, path)
    ]


def _is_option(first: str) -> bool:
    if not first.startswith("--"):
        return False
    if first.lower() != FOLLOW:
        raise InvalidInputError(
            f"`hashFiles` has no option `{first}`", hint=f"the only option is `{FOLLOW}`"
        )
    return True


def _home(box: RunsProcesses, lines: list[str], stop: Stop) -> str:
    if not any("~" in line for line in lines):
        return "/"
    ended = _checked(run_script(box, 'printf %s "${HOME:-/}"', stop=stop))
    return ended.output.decode(errors="surrogateescape")


def _checked(ended: Ended) -> Ended:
    if ended.reason == "timeout":
        raise InvalidInputError(f"`hashFiles` took longer than {LIMIT:.0f} s")
    if ended.exit_code == 127:
        raise InvalidInputError(
            f"`hashFiles` needs a program that the image does not have: {ended.complaint}",
            hint="use an image with `find` and `sha256sum`",
        )
    if ended.exit_code:
        raise InvalidInputError(f"`hashFiles` could not read the files: {ended.complaint}")
    return ended


# -- finding


@dataclass(frozen=True, slots=True)
class _Root:
    """A place to search: the path that patterns see, and where it is once links are followed.

    `above` are the folders that a link in it must not lead back to.
    """

    shown: str
    real: str
    above: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Listing:
    """What was found below one root: files, and links to folders with where they lead."""

    files: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)


def _list(box: RunsProcesses, roots: list[_Root], stop: Stop, *, follow: bool) -> list[list[str]]:
    """The paths of all files below each root, as patterns see them."""
    if not roots:
        return []
    below: list[list[str]] = []
    for root, listing in zip(roots, _find(box, roots, stop), strict=True):
        files = [_shown(root, path) for path in listing.files if not _leads_back(root, path)]
        further = list(_linked(root, listing)) if follow else []
        below.append([*files, *chain.from_iterable(_list(box, further, stop, follow=True))])
    return below


def _find(box: RunsProcesses, roots: list[_Root], stop: Stop) -> list[_Listing]:
    ended = _checked(run_script(box, _FIND, [root.real for root in roots], stop=stop))
    records = iter(ended.output.decode(errors="surrogateescape").split("\0"))
    listings = [_Listing() for _ in roots]
    for listing in listings:
        while record := next(records):
            if record == "link":
                listing.links.append((next(records), next(records)))
            else:
                listing.files.append(record)
    return listings


def _linked(root: _Root, listing: _Listing) -> Iterator[_Root]:
    """The folders behind links; one that leads back to where it came from is left out."""
    for link, target in listing.links:
        above = root.above | _folders_between(root.real, link)
        if target not in above and not _leads_back(root, link):
            yield _Root(_shown(root, link), target, above)


def _leads_back(root: _Root, path: str) -> bool:
    return bool(root.above) and not root.above.isdisjoint(_folders_between(root.real, path))


def _folders_between(top: str, path: str) -> frozenset[str]:
    """`top` and each folder below it on the way to `path`; nothing when they are the same."""
    names = path.removeprefix(top).split("/")[1:]
    return frozenset("/".join([top, *names[:count]]) for count in range(len(names)))


def _shown(root: _Root, path: str) -> str:
    return root.shown + path.removeprefix(root.real)


# -- hashing


def _digests(box: RunsProcesses, files: Sequence[str], stop: Stop) -> Iterator[bytes]:
    if not files:
        return
    ended = _checked(run_script(box, "\n".join(_commands(files)), stop=stop))
    lines = ended.output.split(b"\n")[:-1]
    if len(lines) != len(files):
        raise InvalidInputError(f"`hashFiles` got {len(lines)} digests of {len(files)} files")
    for line in lines:
        yield bytes.fromhex(line[:64].decode())


def _commands(files: Iterable[str]) -> Iterator[str]:
    """Calls of `sha256sum`, together a line a file in order, whatever the files are called."""
    for batch in _batches(files):
        if _is_special(batch[0]):
            yield f"sha256sum <{shlex.quote(batch[0])} || exit"
        else:
            yield f"sha256sum {shlex.join(batch)} || exit"


def _batches(files: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    room = ARGUMENTS
    for path in files:
        if batch and (room < len(path) or _is_special(path) or _is_special(batch[0])):
            yield batch
            batch, room = [], ARGUMENTS
        batch.append(path)
        room -= len(path)
    if batch:
        yield batch


def _is_special(path: str) -> bool:
    """True for a name that would change how its line is printed."""
    return not set(path).isdisjoint("\n\r\\")
