"""Machines that plugins run programs on: this one, and others over the system's own `ssh`."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from runner.plugin.delivery import DeliveryError, Ended, Machine

#: What is said of an address that nothing can be made of.
_EXPECTED = "`local`, or `ssh://[user@]host[:port]`"
#: Bytes of output that are kept of one program.
_MOST = 4_000_000
#: `$1` is the file, `$2` its mode: a new file takes its place at once, and is on the disk then.
_WRITE = """\
set -e
mkdir -p "$(dirname "$1")"
cat >"$1.pipe-new"
chmod "$2" "$1.pipe-new"
sync "$1.pipe-new" 2>/dev/null || sync
mv -f "$1.pipe-new" "$1"
"""
_READ = 'if [ -e "$1" ]; then cat "$1"; else exit 66; fi'
_ABSENT = 66
_UNPACK = 'mkdir -p "$1" && tar -x -f - -C "$1"'
#: The exit code of `ssh` when it could not connect.
_UNREACHABLE = 255


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that is reached by a command; `prefix` stands before what it is to run."""

    name: str
    prefix: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | Iterator[bytes] = b"",  # noqa: A002 - as in `subprocess.run`
        within: float = 30.0,
    ) -> Ended:
        """Run a program to its end. Raises DeliveryError when it takes too long."""
        command = self._command(argv, env or {})
        own = {**os.environ, **(env or {})} if not self.prefix else dict(os.environ)
        try:
            process = subprocess.Popen(
                command,
                env=own,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise DeliveryError(f"cannot run `{argv[0]}`: {error.strerror or error}") from error
        ended = _communicate(process, input, within, argv[0])
        if self.prefix and ended.exit_code == _UNREACHABLE:
            raise DeliveryError(f"{self.name} cannot be reached: {_last_line(ended.stderr)}")
        return ended

    def _command(self, argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
        if not self.prefix:
            return list(argv)
        # A shell on the other side takes the words apart again.
        words = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
        return [*self.prefix, " ".join(map(shlex.quote, [*words, *argv]))]

    def read_file(self, path: str) -> bytes | None:
        """All of a file; None when there is none."""
        ended = self.run(["sh", "-c", _READ, "sh", path])
        if ended.exit_code == _ABSENT:
            return None
        return _succeeded(self, ended, f"cannot read {path}").stdout

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Replace a file in one step."""
        ended = self.run(["sh", "-c", _WRITE, "sh", path, f"{mode:o}"], input=data)
        _succeeded(self, ended, f"cannot write {path}")

    def unpack(self, path: str, blocks: Iterator[bytes]) -> None:
        """Fill a folder, which is made, with a tar stream."""
        ended = self.run(["sh", "-c", _UNPACK, "sh", path], input=blocks, within=600.0)
        _succeeded(self, ended, f"cannot fill {path}")


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
    found = urlsplit(name)
    if found.scheme != "ssh" or not found.hostname or found.path.strip("/"):
        raise DeliveryError(f"`{name}` is no machine: it has to be {_EXPECTED}")
    return Host(name, tuple(_ssh(found.hostname, found.username, found.port, control)))


def _ssh(host: str, user: str | None, port: int | None, control: Path) -> Iterator[str]:
    control.mkdir(parents=True, exist_ok=True, mode=0o700)
    yield from ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
    # One connection for all calls; it closes itself. The name has to stay short.
    yield from ("-o", "ControlMaster=auto", "-o", "ControlPersist=60")
    yield from ("-o", f"ControlPath={control}/%C")
    if port:
        yield from ("-p", str(port))
    yield from ("--", f"{user}@{host}" if user else host)


def _communicate(
    process: "subprocess.Popen[bytes]", given: bytes | Iterator[bytes], within: float, name: str
) -> Ended:
    feeding = threading.Thread(target=_feed, args=(process, given), daemon=True)
    found: dict[str, bytes] = {}
    readers = [
        threading.Thread(target=_read, args=(process, stream, found), daemon=True)
        for stream in ("stdout", "stderr")
    ]
    for thread in (feeding, *readers):
        thread.start()
    try:
        code = process.wait(within)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise DeliveryError(f"`{name}` took more than {within:g} s, and was ended") from None
    for thread in readers:
        # Something may have been left running that holds the stream open.
        thread.join(5.0)
    return Ended(
        code if code >= 0 else 128 - code, found.get("stdout", b""), found.get("stderr", b"")
    )


def _feed(process: "subprocess.Popen[bytes]", given: bytes | Iterator[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError), process.stdin as stream:
        for block in [given] if isinstance(given, bytes) else given:
            stream.write(block)


def _read(process: "subprocess.Popen[bytes]", stream: str, found: dict[str, bytes]) -> None:
    kept = bytearray()
    source = getattr(process, stream)
    with source:
        while block := source.read1(65536):
            kept += block[: max(0, _MOST - len(kept))]
            found[stream] = bytes(kept)


def _succeeded(host: Host, ended: Ended, what: str) -> Ended:
    if ended.exit_code:
        raise DeliveryError(f"{what} on {host.name}: {_last_line(ended.stderr)}")
    return ended


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it did not say why"
