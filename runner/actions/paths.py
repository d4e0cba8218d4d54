"""The files in a box that the `path` of an action means."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runner.actions.native import ActionFailedError, ActionStoppedError, NativeCall
from runner.engines.globs import parse_patterns, search_paths, selects, walk_order
from runner.engines.script import Ended, run_script

#: The most of what a program complains about that is shown.
COMPLAINT = 500
#: Prints, each followed by NUL, the files below each path, links to files and folders followed.
_FILES = """\
shift
for path; do
  [ -e "$path" ] && find -L "$path" -type f -print0
done
:
"""
#: Prints, each followed by NUL, what there is at and below each path.
_ALL = """\
shift
for path; do
  if [ -e "$path" ] || [ -L "$path" ]; then find "$path" -print0; fi
done
:
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Files (absolute), and the folder that they are to be seen from."""

    root: str
    files: tuple[str, ...]

    def names(self) -> list[str]:
        """The files as seen from the folder."""
        top = self.root.rstrip("/") + "/"
        return [file.removeprefix(top) for file in self.files]


def files_of(call: NativeCall, lines: Sequence[str], *, hidden: bool) -> Found:
    """All files that the patterns select, in walk order; without `hidden` none whose name, or that
    of a folder below the start of the search, begins with a dot."""
    patterns = parse_patterns(lines, call.workspace, _home_in(call, lines))
    searched = search_paths(patterns)
    listed = _listed(call, _FILES, searched)
    files = tuple(
        path
        for path in sorted(listed, key=walk_order)
        if selects(patterns, path) and (hidden or not _is_hidden(path, searched))
    )
    return Found(_root(searched, files), files)


def matches_of(call: NativeCall, lines: Sequence[str]) -> list[str]:
    """What the patterns name themselves, files and folders; nothing that is in another one."""
    patterns = parse_patterns(lines, call.workspace, _home_in(call, lines), below=False)
    plain = [pattern.start for pattern in patterns if pattern.covers(pattern.start)]
    wild = [pattern for pattern in patterns if not pattern.covers(pattern.start)]
    candidates = [*_existing(call, plain), *_listed(call, _ALL, search_paths(wild))]
    chosen = [path for path in dict.fromkeys(candidates) if selects(patterns, path)]
    return list(_highest(chosen))


def home(call: NativeCall) -> str:
    """The home folder of the box's user."""
    if given := call.env.get("HOME"):
        return given
    ended = _checked(run_script(call.box, 'printf %s "${HOME:-/}"', stop=call.stop))
    return ended.output.decode(errors="surrogateescape")


def _home_in(call: NativeCall, lines: Iterable[str]) -> str:
    """The home folder if a line may mean it: to ask the box takes time."""
    return home(call) if any("~" in line for line in lines) else "/"


def absolute(call: NativeCall, path: str) -> str:
    """One path as it is written in an input: from the workspace on, `~` being the home folder."""
    if path == "~" or path.startswith("~/"):
        path = posixpath.join(home(call), path[2:])
    return posixpath.normpath(posixpath.join(call.workspace, path))


def is_in(path: str, folder: str) -> bool:
    """Whether it is the folder, or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _listed(call: NativeCall, script: str, paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    ended = _checked(run_script(call.box, script, paths, stop=call.stop))
    if ended.complaint:
        call.warning(f"not all of it could be searched: {ended.complaint[:COMPLAINT]}")
    return ended.output.decode(errors="surrogateescape").split("\0")[:-1]


def _existing(call: NativeCall, paths: Sequence[str]) -> list[str]:
    script = 'shift\nfor path; do [ -e "$path" ] && printf "%s\\0" "$path"; done\n:\n'
    ended = _checked(run_script(call.box, script, paths, stop=call.stop))
    return ended.output.decode(errors="surrogateescape").split("\0")[:-1]


def _checked(ended: Ended) -> Ended:
    if ended.reason in ("cancelled", "timeout"):
        raise ActionStoppedError(ended.reason)
    if ended.exit_code or ended.reason:
        why = ended.complaint or ended.reason or f"exit code {ended.exit_code}"
        raise ActionFailedError(f"the files could not be found: {why}")
    return ended


def _is_hidden(path: str, searched: Iterable[str]) -> bool:
    """Whether a dot begins a name in it, from the name on where the search began."""
    if "/." not in path:
        return False
    start = next(start for start in searched if is_in(path, start))
    return "/." in path.removeprefix(posixpath.dirname(start))


def _root(searched: Sequence[str], files: Sequence[str]) -> str:
    """What all searches have in common, so that the tree below it is kept."""
    if len(searched) == 1 and tuple(files) == tuple(searched):
        return posixpath.dirname(files[0])
    return posixpath.commonpath(searched) if searched else "/"


def _highest(paths: Iterable[str]) -> Iterator[str]:
    last = None
    for path in sorted(paths, key=walk_order):
        if last is None or not is_in(path, last):
            last = path
            yield path
