"""Reaching another machine by the system's own `ssh`, whose configuration is the user's."""

import os
import re
import shlex
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path

from runner.plugin.delivery import DeliveryError, Ended

#: A user may not look like an option, nor a host.
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[\w.][\w.+-]*)@)?(?P<host>[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Bytes of a socket's path, without those that ssh adds to the folder while it makes one.
_LONGEST = 108 - len("/") - 40 - len(".0123456789abcdef") - 1
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
#: The exit code of `ssh` when there is no connection.
_BROKEN = 255
#: So that a program that ends with that code itself is told apart.
_MARK = b"pipe: the program ended with 255\n"
#: `$1` bytes of the input set variables, in which nobody sees them in a list of processes; a
#: connection that breaks ends nothing, so that `$2` seconds are counted there as well.
_RUN = """\
[ "$1" = 0 ] || eval "$(dd bs=1 count="$1" 2>/dev/null)"
limit=$2
shift 2
if command -v timeout >/dev/null; then timeout -s KILL "$limit" "$@"; else "$@"; fi
code=$?
[ $code != 255 ] || echo "pipe: the program ended with 255" >&2
exit $code
"""
_OPTIONS: Mapping[str, str] = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    # A machine that is gone without a word is noticed.
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
}


@dataclass(frozen=True)
class Ssh:
    """A way to a machine. `control` is a folder for connections that are kept open."""

    name: str
    user: str
    host: str
    port: str
    control: Path

    def command(self, argv: Sequence[str], env: Mapping[str, str], within: float) -> list[str]:
        """What to run here; its input begins with `prelude`. A shell there takes the words apart."""
        size, limit = len(prelude(env)), max(1, ceil(within))
        words = ["sh", "-c", _RUN, "sh", str(size), str(limit), *argv]
        return [*self._prefix, " ".join(map(shlex.quote, words))]

    @cached_property
    def _prefix(self) -> list[str]:
        options = {**_OPTIONS, **_kept_open(self.control)}
        port = ["-p", self.port] if self.port else []
        where = f"{self.user}@{self.host}" if self.user else self.host
        pairs = [each for pair in options.items() for each in ("-o", "=".join(pair))]
        return ["ssh", "-T", *pairs, *port, "--", where]

    def checked(self, ended: Ended) -> Ended:
        """What the program there said. Raises DeliveryError when there was no connection."""
        if ended.exit_code != _BROKEN:
            return ended
        if not ended.stderr.endswith(_MARK):
            raise DeliveryError(f"no connection to {self.name}: {_last_line(ended.stderr)}")
        return Ended(_BROKEN, ended.stdout, ended.stderr.removesuffix(_MARK))


def ssh(name: str, control: Path) -> Ssh | None:
    """The way to a machine of that name; None when it is no address of one."""
    found = _ADDRESS.fullmatch(name)
    if not found or not 0 < int(found["port"] or 22) < 65536:
        return None
    return Ssh(name, found["user"] or "", found["host"].strip("[]"), found["port"] or "", control)


def prelude(env: Mapping[str, str]) -> bytes:
    """What stands before the input of a program, to set its variables.

    Raises DeliveryError for a variable that no shell can set.
    """
    bad = [name for name, text in env.items() if not _NAME.fullmatch(name) or "\0" in text]
    if bad:
        raise DeliveryError(f"the variable `{bad[0]}` cannot be given to a program")
    lines = (f"export {name}={shlex.quote(text)}\n" for name, text in env.items())
    return "".join(lines).encode(errors="surrogateescape")


def _kept_open(control: Path) -> Mapping[str, str]:
    """One connection for all calls, which closes itself; each one its own where that cannot be."""
    folder = next((each for each in _folders(control) if _is_private(each)), None)
    if folder is None:
        return {"ControlMaster": "no", "ControlPath": "none"}
    return {"ControlMaster": "auto", "ControlPersist": "60", "ControlPath": f"{folder}/%C"}


def _folders(control: Path) -> Iterator[Path]:
    """Where sockets may be: the path of one has to be short, and say nothing else to ssh."""
    for folder in (control, Path(tempfile.gettempdir(), f"pipe-ssh-{os.getuid()}")):
        text = str(folder)
        if len(text) <= _LONGEST and _PLAIN.fullmatch(text):
            yield folder


def _is_private(folder: Path) -> bool:
    """Make it if it is not there; somebody else may have been first in a folder of all."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "ssh did not say why"
