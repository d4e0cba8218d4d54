"""The snapshot `files`: a tar archive of paths on a machine, with their modes and owners."""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.plugin import DeliveryCall, DeliveryError, Ended, Finding, Machine

ARCHIVE = "files.tar"
LIST = "files.json"
#: Prints all that patterns match, each ended by a zero byte; with `$1` = `all`, what is in folders
#: too.
_FIND = """\
set -e
IFS=
how=$1
shift
for pattern in "$@"; do
  for path in $pattern; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      if [ "$how" = all ]; then find "$path" -print0; else printf '%s\\0' "$path"; fi
    fi
  done
done
"""
_PACK = 'tar -C / --numeric-owner -c -f - "$@"'
#: Only root may give files away.
_UNPACK = """\
if [ "$(id -u)" = 0 ]; then tar -C / --numeric-owner -x -p -f -; else tar -C / -x -p -o -f -; fi
"""
#: Folders are removed only when they are empty.
_REMOVE = """\
xargs -0 sh -c 'for path in "$@"; do
  if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir "$path" 2>/dev/null || :; else rm -f "$path"; fi
done' sh
"""
_BLOCK = 1 << 20


class FilesSnapshot:
    """Holds nothing but its settings."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._paths = [str(each) for each in settings["paths"]]
        self._machine = str(settings.get("machine") or "local")
        self._exact = bool(settings.get("exact"))
        reload = settings.get("reload") or []
        self._reload = [reload] if isinstance(reload, str) else [str(each) for each in reload]

    def create(self, call: DeliveryCall, folder: Path) -> Mapping[str, Any]:
        machine = call.machine(self._machine)
        found = self._matched(machine, call, "top")
        with (folder / ARCHIVE).open("xb") as archive:
            if found:
                names = [f"./{path.lstrip('/')}" for path in found]
                argv = ["sh", "-c", _PACK, "sh", *names]
                ended = machine.run(argv, within=call.remaining(), output=archive)
                _succeeded(ended, f"cannot keep the files on {machine.name}")
            else:
                with tarfile.open(fileobj=archive, mode="w"):
                    pass
        (folder / LIST).write_text(json.dumps({"paths": self._paths, "found": found}))
        return {"machine": self._machine, "paths": found}

    def verify(self, call: DeliveryCall, folder: Path) -> Sequence[Finding]:
        try:
            members(folder)
            json.loads((folder / LIST).read_text())
        except (OSError, tarfile.TarError, ValueError) as error:
            return [Finding(f"the archive cannot be read: {error}")]
        return []

    def restore(self, call: DeliveryCall, folder: Path) -> None:
        machine = call.machine(self._machine)
        if json.loads((folder / LIST).read_text())["found"]:
            ended = machine.run(
                ["sh", "-c", _UNPACK], input=blocks(folder / ARCHIVE), within=call.remaining()
            )
            _succeeded(ended, f"cannot restore the files on {machine.name}")
        if self._exact:
            self._remove_others(machine, call, members(folder))
        for command in self._reload:
            ended = machine.run(["sh", "-c", command], within=max(1.0, call.remaining()))
            _succeeded(ended, f"`{command}` failed on {machine.name}")

    def _remove_others(self, machine: Machine, call: DeliveryCall, kept: set[str]) -> None:
        there = self._matched(machine, call, "all")
        # What is in a folder comes before it.
        others = sorted((path for path in there if path not in kept), reverse=True)
        if not others:
            return
        names = b"".join(path.encode(errors="surrogateescape") + b"\0" for path in others)
        ended = machine.run(["sh", "-c", _REMOVE], input=names, within=call.remaining())
        _succeeded(ended, f"cannot remove files on {machine.name}")
        call.log(f"removed {', '.join(others)} on {machine.name}")

    def _matched(self, machine: Machine, call: DeliveryCall, how: str) -> list[str]:
        argv = ["sh", "-c", _FIND, "sh", how, *self._paths]
        ended = _succeeded(
            machine.run(argv, within=call.remaining()), f"cannot list the files on {machine.name}"
        )
        found = ended.stdout.decode(errors="surrogateescape").split("\0")
        return list(dict.fromkeys(path.rstrip("/") for path in found if path))


def members(folder: Path) -> set[str]:
    """The absolute paths of all that is in the archive."""
    with tarfile.open(folder / ARCHIVE) as archive:
        return {"/" + member.name.removeprefix("./").strip("/") for member in archive}


def blocks(path: Path) -> Iterator[bytes]:
    """A file, piece by piece."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _succeeded(ended: Ended, what: str) -> Ended:
    if ended.exit_code:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        raise DeliveryError(f"{what}: {said[0] if said else f'exit code {ended.exit_code}'}")
    return ended
