"""A reload that is known to have worked: nginx itself does not tell."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pipe_proxies.nginx.configuration import STATUS, Said, read_said
from runner.plugin import DeliveryCall, DeliveryError, Ended

#: Seconds that new workers have to answer after a reload.
PATIENCE = 15.0
#: Old workers still take requests for a tenth of a second after the new ones have started.
_OVERLAP = 0.3
_PAUSE = 0.05
_COMMAND = 30.0

# Whatever a machine has of these; nginx has nothing to ask itself with.
_ASK = """\
ask() {
    if command -v curl >/dev/null; then curl -sS --max-time 5 "http://$1/"
    elif command -v wget >/dev/null; then wget -q -O - -T 5 "http://$1/"
    elif command -v bash >/dev/null; then timeout 5 bash -c '
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}" && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3
        ' bash "$1"
    else echo "there is no curl, wget or bash to ask nginx with" >&2
    fi
}
ask "$1" | head -c 65536
"""


class Home(Protocol):
    """Where nginx runs, and its file is."""

    @property
    def name(self) -> str: ...

    def run(self, argv: list[str], *, within: float = 30.0) -> Ended: ...

    def read_file(self, path: str) -> bytes | None: ...

    def write_file(self, path: str, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Server:
    """A running nginx, the file of it that is ours, and the commands that make it read that."""

    home: Home
    file: str
    test: str
    reload: str
    status: str = STATUS

    def said(self) -> Said:
        """By what it goes now; raises DeliveryError when it does not answer."""
        done = self.home.run(["sh", "-c", _ASK, "sh", self.status], within=_COMMAND)
        if not done.stdout:
            raise DeliveryError(
                f"nginx on {self.home.name} does not answer at {self.status}: {_complaint(done)}"
            )
        return read_said(done.text)

    def goes_by(self, text: str) -> bool:
        """Whether the file is this already."""
        return self.home.read_file(self.file) == text.encode()

    def change(self, call: DeliveryCall, text: str, generation: str) -> None:
        """Let it go by this file; if it does not, the old file is back, and in force."""
        old = self.home.read_file(self.file)
        self.home.write_file(self.file, text.encode())
        try:
            self._do(self.test, "nginx refuses the configuration")
            self._do(self.reload, "nginx cannot be told to reload")
            self.await_generation(call, generation)
        except DeliveryError:
            self._restore(old)
            raise

    def await_generation(self, call: DeliveryCall, generation: str) -> None:
        """Returns when only workers that have read this file answer."""
        until = time.monotonic() + min(PATIENCE, call.remaining())
        since = None
        while since is None or time.monotonic() - since < _OVERLAP:
            is_new = self._generation() == generation
            since = (since or time.monotonic()) if is_new else None
            if not is_new and (time.monotonic() > until or call.cancelled()):
                raise DeliveryError(
                    f"nginx on {self.home.name} has not taken over {self.file}: its error log says "
                    f"why (an address that is taken is a common reason)"
                )
            time.sleep(_PAUSE)

    def _generation(self) -> str:
        try:
            return self.said().generation
        except DeliveryError:
            return ""

    def _do(self, command: str, refusal: str) -> None:
        done = self.home.run(["sh", "-c", command], within=_COMMAND)
        if done.exit_code:
            raise DeliveryError(f"{refusal} on {self.home.name}: {_complaint(done)}")

    def _restore(self, old: bytes | None) -> None:
        """What was in force is in the file again, and nginx has a second chance to read it."""
        if old is None:
            self.home.run(["rm", "-f", self.file])
        else:
            self.home.write_file(self.file, old)
        self.home.run(["sh", "-c", self.reload], within=_COMMAND)


def new_generation() -> str:
    """A word that no file has had before."""
    return secrets.token_hex(6)


def attempt(ask: Callable[[], Said]) -> Said | None:
    """What it says; None when it does not answer."""
    try:
        return ask()
    except DeliveryError:
        return None


def _complaint(done: Ended) -> str:
    text = (done.stderr or done.stdout)[-2000:].decode(errors="replace").strip()
    return text or f"exit code {done.exit_code}"
