"""Files of this machine on their way into a job's box, and what has to make room for them there."""

import posixpath
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.actions.native import ActionFailedError, ActionStoppedError, NativeCall, watched
from runner.engines.script import run_script
from runner.engines.tar import tar_stream

_EMPTY = """\
mkdir -p "$2" && cd "$2" || exit
for entry in .* *; do
  case $entry in . | ..) continue ;; esac
  if [ -e "$entry" ] || [ -L "$entry" ]; then rm -rf -- "$entry" || exit; fi
done
"""
#: Folders that are not empty stay, and nothing is said about them.
_REMOVE = """\
cd "$2" || exit
xargs -0 rm -f -- <"$1/files" || exit
xargs -0 rmdir -- <"$1/folders" 2>/dev/null
:
"""
_IS_EMPTY = """\
[ -d "$2" ] || exit 0
cd "$2" || exit
for entry in .* *; do
  case $entry in . | ..) continue ;; esac
  if [ -e "$entry" ] || [ -L "$entry" ]; then echo "$entry"; exit; fi
done
"""
#: Each repository reads the file with credentials; where the file is gone, git says nothing.
_INCLUDE = """\
printf '[include]\\n\\tpath = "%s"\\n' "$3" >>"$2/.git/config" || exit
[ -d "$2/.git/modules" ] || exit 0
find "$2/.git/modules" -name config -type f | while IFS= read -r config; do
  printf '[include]\\n\\tpath = "%s"\\n' "$3" >>"$config"
done
"""
Chosen = Callable[[str], bool]


def empty(call: NativeCall, folder: str) -> None:
    """Remove all that is in a folder of the box, which is made if need be."""
    _run(call, _EMPTY, [folder], why=f"`{folder}` could not be emptied")


def is_empty(call: NativeCall, folder: str) -> bool:
    """Whether there is nothing in a folder of the box, or no folder."""
    return not _run(call, _IS_EMPTY, [folder], why=f"`{folder}` could not be read")


def remove(call: NativeCall, folder: str, paths: Sequence[str]) -> None:
    """Remove files below a folder, and the folders that this leaves empty."""
    above = {parent for path in paths for parent in _parents(path)}
    deepest = sorted(above, key=lambda path: path.count("/"), reverse=True)
    files = {"files": _listed(paths), "folders": _listed(deepest)}
    _run(call, _REMOVE, [folder], files, why=f"files in `{folder}` could not be removed")


def write(call: NativeCall, folder: str, source: Path, chosen: Chosen = lambda _name: True) -> None:
    """Give the box what is in a folder of this machine, or those files whose paths are chosen."""

    def changed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name == "." or not chosen(entry.name.removeprefix("./")):
            return None
        # Whole seconds are all that every `tar` keeps, and that git compares in these checkouts.
        entry.mtime = int(entry.mtime)
        return entry

    call.box.write_tree(folder, watched(call, tar_stream(source, ".", changed)))


def include(call: NativeCall, folder: str, file: str) -> None:
    """Have git read one more file of configuration in a checkout of the box."""
    _run(call, _INCLUDE, [folder, file], why=f"the configuration of `{folder}` cannot be written")


def discard(call: NativeCall, folder: str) -> None:
    """Remove a folder of the box."""
    _run(call, 'rm -rf -- "$2"', [folder], why=f"`{folder}` could not be removed")


def below(*paths: str) -> Chosen:
    """Chooses these paths, and what is in them."""
    return lambda name: any(name == path or name.startswith(f"{path}/") for path in paths)


def _run(
    call: NativeCall,
    script: str,
    arguments: Sequence[str],
    files: dict[str, bytes] | None = None,
    *,
    why: str,
) -> bytes:
    ended = run_script(call.box, script, arguments, files, stop=call.stop)
    if ended.reason in ("cancelled", "timeout"):
        raise ActionStoppedError(ended.reason)
    if ended.exit_code or ended.reason:
        detail = ended.complaint or ended.reason or f"exit code {ended.exit_code}"
        raise ActionFailedError(f"{why}: {detail}")
    return ended.output


def _parents(path: str) -> list[str]:
    found = []
    while path := posixpath.dirname(path):
        found.append(path)
    return found


def _listed(paths: Sequence[str]) -> bytes:
    return "".join(f"./{path}\0" for path in paths).encode(errors="surrogateescape")
