"""Bringing a box whose job has not begun up to date: its tree, and files in its control folder."""

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.engines.box import Box, EngineError
from runner.engines.script import run_script
from runner.engines.tar import packed
from runner.engines.trees import check, listed
from runner.project import Difference

_GONE, _FRESH, _FILE = "gone", "fresh", "file-"

_WHO = 'id -u && ls -nd "$2"\n'
#: `$2` is the workspace, `$3` the control folder, then come pairs: a file given, a file there.
_CLEAR = f"""\
given=$1 control=$3
cd "$2" || exit
if [ -s "$given/{_GONE}" ]; then xargs -0 rm -rf -- <"$given/{_GONE}" || exit; fi
shift 3
while [ $# -gt 0 ]; do
  cat <"$given/$1" >"$control/$2" || exit
  shift 2
done
"""
_OWN = f'cd "$2" && exec xargs -0 chown -h -- "$3" <"$1/{_FRESH}"\n'
_WHAT = "the box could not be brought up to date"


def user_and_owner(box: Box) -> tuple[str, str]:
    """The number of the box's user, and the numbers of whoever owns its tree: `0:0`."""
    ended = run_script(box, _WHO, [box.facts.workspace])
    check(ended, _WHAT)
    user, entry = ended.output.decode().split("\n")[:2]
    _, _, owner, group, *_ = entry.split()
    return user, f"{owner}:{group}"


def bring(box: Box, tree: Difference, files: Mapping[str, bytes], owner: str) -> None:
    """Have its tree be the newer one, and these files be in its control folder.

    `owner` is whose the tree is. Raises EngineError when that cannot be, and OSError when the newer
    tree cannot be read; then the box is good for nothing.
    """
    names = [name for _, name in tree.fresh]
    if tree.gone or files or not names:
        _clear(box, tree.gone, files)
    if names:
        places = {name: place for place, name in tree.fresh}
        blocks = packed(tree.fresh, lambda entry: _dated(entry, places[entry.name]))
        box.write_tree(box.facts.workspace, blocks)
    if names and owner != "0:0":
        arguments = [box.facts.workspace, owner]
        check(run_script(box, _OWN, arguments, {_FRESH: listed(names)}), _WHAT)


def _clear(box: Box, gone: Sequence[str], files: Mapping[str, bytes]) -> None:
    given = {f"{_FILE}{number}": data for number, data in enumerate(files.values())}
    pairs = [word for pair in zip(given, files, strict=True) for word in pair]
    if any("/" in name for name in files):
        raise EngineError("unfit", "only files right in the control folder can be brought")
    arguments = [box.facts.workspace, box.facts.control, *pairs]
    check(run_script(box, _CLEAR, arguments, {**given, _GONE: listed(gone)}), _WHAT)


def _dated(entry: tarfile.TarInfo, place: Path) -> tarfile.TarInfo:
    """With its time to the last digit, as the other files of the tree have theirs."""
    seconds, rest = divmod(place.lstat().st_mtime_ns, 1_000_000_000)
    entry.pax_headers = {"mtime": f"{seconds}.{rest:09}"}
    return entry
