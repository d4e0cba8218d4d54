"""Machines that plugins run programs on: this one, and others that are reached by SSH."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from runner.delivery.programs import MOST, run_program
from runner.delivery.ssh import Ssh, prelude, ssh
from runner.plugin.delivery import DeliveryError, Ended, Machine

#: What is said of an address that nothing can be made of.
_EXPECTED = "`local`, or `ssh://[user@]host[:port]`"
#: Seconds for the files that are read and written, which may be large.
_LONG = 600.0
#: Bytes of the largest file that is read.
_LARGEST = 64_000_000
#: `$1` is the file, `$2` its mode: a new file takes its place at once, and is on the disk then.
_WRITE = """\
set -e
[ ! -d "$1" ] || { echo "it is a folder" >&2; exit 1; }
mkdir -p "$(dirname "$1")"
umask 077
new=$1.pipe-$$
trap 'rm -f "$new"' EXIT
cat >"$new"
chmod "$2" "$new"
sync "$new" 2>/dev/null || sync
mv -f "$new" "$1"
"""
_READ = 'if [ -e "$1" ]; then cat "$1"; else exit 66; fi'
_ABSENT = 66
#: Files belong to who unpacks them.
_UNPACK = """\
mkdir -p "$1" || exit
said=$(tar -x -o -f - -C "$1" 2>&1) && exit
left=$(df -P -k "$1" | awk 'NR == 2 {print $4}')
[ "${left:-1024}" -ge 1024 ] || printf 'the disk is full: ' >&2
printf '%s\\n' "$said" >&2
exit 1
"""


@dataclass(frozen=True, slots=True)
class Host:
    """See `runner.plugin.Machine`. Without a `way` it is this machine."""

    name: str
    way: Ssh | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | Iterator[bytes] = b"",  # noqa: A002 - as in `subprocess.run`
        within: float = 30.0,
        output: BinaryIO | None = None,
    ) -> Ended:
        """Run a program to its end. Raises DeliveryError when it takes too long."""
        given = [input] if isinstance(input, bytes) else input
        return self._run(argv, env or {}, given, within, MOST, output)

    def _run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        given: Iterable[bytes],
        within: float,
        most: int,
        output: BinaryIO | None = None,
    ) -> Ended:
        name, ours = f"`{argv[0]}` on {self.name}", dict(os.environ)
        if self.way is None:
            home = str(Path("~").expanduser())
            env = {**ours, **env}
            return run_program(
                argv, given, env=env, within=within, name=name, cwd=home, most=most, output=output
            )
        command, given = self.way.command(argv, env, within), chain([prelude(env)], given)
        ended = run_program(
            command, given, env=ours, within=within, name=name, most=most, output=output
        )
        return self.way.checked(ended)

    def read_file(self, path: str) -> bytes | None:
        """All of a file; None when there is none."""
        ended = self._run(["sh", "-c", _READ, "sh", path], {}, (), _LONG, _LARGEST + 1)
        if ended.exit_code == _ABSENT:
            return None
        data = self._succeeded(ended, f"cannot read {path}").stdout
        if len(data) > _LARGEST:
            raise DeliveryError(f"{path} on {self.name} has more than {_LARGEST} bytes")
        return data

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Replace a file in one step."""
        ended = self.run(["sh", "-c", _WRITE, "sh", path, f"{mode:o}"], input=data, within=_LONG)
        self._succeeded(ended, f"cannot write {path}")

    def unpack(self, path: str, blocks: Iterator[bytes]) -> None:
        """Fill a folder, which is made, with a tar stream."""
        ended = self.run(["sh", "-c", _UNPACK, "sh", path], input=blocks, within=_LONG)
        self._succeeded(ended, f"cannot fill {path}")

    def _succeeded(self, ended: Ended, what: str) -> Ended:
        if ended.exit_code:
            raise DeliveryError(f"{what} on {self.name}: {_first_line(ended.stderr)}")
        return ended


def machine(name: str, *, allow_local: bool, control: Path) -> Machine:
    """The machine of that name; `control` is a folder for connections that are kept open.

    Raises DeliveryError for one that is not allowed, or no name of one.
    """
    if name == "local":
        if not allow_local:
            raise DeliveryError(
                "this machine may only be changed when you allow it: --host, or PIPE_ALLOW_HOST=1"
            )
        return Host(name)
    way = ssh(name, control)
    if way is None:
        raise DeliveryError(f"`{name}` is no machine: it has to be {_EXPECTED}")
    return Host(name, way)


def _first_line(text: bytes) -> str:
    """Programs such as tar name what went wrong first, and give up later."""
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[0].strip() if lines else "it did not say why"
