"""The engine of another machine over the user's own `ssh`, as a socket of this machine."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

#: What is read of the complaints of `ssh`.
LIMIT = 2000


@dataclass
class Tunnel:
    """Every connection to the socket is an `ssh` of its own that speaks to the engine there."""

    argv: Sequence[str]
    folder: Path
    listener: socket.socket
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 'engine'}"

    @property
    def complaint(self) -> str:
        """The last that `ssh` had to say."""
        try:
            lines = (self.folder / "errors").read_bytes()[-LIMIT:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        return next((line.strip() for line in reversed(lines.splitlines()) if line.strip()), "")

    def serve(self) -> None:
        """Until the listener is shut down."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, (self.folder / "errors").open("ab") as errors:
                speak = connection.fileno()
                self.processes.append(
                    subprocess.Popen(self.argv, stdin=speak, stdout=speak, stderr=errors)
                )

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


@contextmanager
def tunnel(host: str, within: float) -> Iterator[Tunnel]:
    """A way to the engine of `ssh://[user@]host[:port]`."""
    with (
        TemporaryDirectory(prefix="pipe-ssh-") as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{folder}/engine")
        listener.listen()
        made = Tunnel(_command(host, within), Path(folder), listener)
        thread = threading.Thread(target=made.serve, name="pipe-ssh", daemon=True)
        thread.start()
        try:
            yield made
        finally:
            # wakes the thread; not every system lets a listener be shut down
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(timeout=5)
            made.end()


def _command(host: str, within: float) -> list[str]:
    parts = urlsplit(host)
    port = ["-p", str(parts.port)] if parts.port else []
    patience = ["-o", f"ConnectTimeout={max(1, int(within))}"]
    where = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    return [
        *("ssh", "-T", "-o", "BatchMode=yes", *patience, *port, "--", where),
        *("docker", "system", "dial-stdio"),
    ]
