"""Containers that nginx runs in, as places for commands and files."""

import io
import posixpath
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from pipe_proxies.container import engine
from pipe_proxies.files import replace_file
from runner.plugin import DeliveryError, Ended

#: How `timeout` ends when a program had to be ended.
_TOO_LONG = 124


@dataclass(frozen=True, slots=True)
class InContainer:
    """A container that others have made, and whose files are its own."""

    name: str

    def run(self, argv: list[str], *, within: float = 30.0) -> Ended:
        """Run a program in it to its end."""
        with engine() as api:
            # The engine itself would wait for ever.
            execution = api.exec_create(self.name, ["timeout", str(round(within)), *argv])["Id"]
            stdout, stderr = api.exec_start(execution, demux=True)
            exit_code = api.exec_inspect(execution)["ExitCode"]
        if exit_code == _TOO_LONG:
            raise DeliveryError(f"{argv[0]} in {self.name} has taken more than {within:.0f} s")
        return Ended(exit_code or 0, stdout or b"", stderr or b"")

    def read_file(self, path: str) -> bytes | None:
        from docker.errors import NotFound

        with engine() as api:
            try:
                blocks, _ = api.get_archive(self.name, path)
            except NotFound:
                return None
            packed = io.BytesIO(b"".join(blocks))
        with tarfile.open(fileobj=packed) as archive:
            file = archive.extractfile(posixpath.basename(path))
            return file.read() if file else None

    def write_file(self, path: str, data: bytes) -> None:
        """Replace a file in one step."""
        folder, name = posixpath.split(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(f"{name}.new")
            entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
        with engine() as api:
            api.put_archive(self.name, folder, packed.getvalue())
        done = self.run(["mv", f"{path}.new", path])
        if done.exit_code:
            text = done.stderr.decode(errors="replace").strip()
            raise DeliveryError(f"{path} in {self.name} cannot be replaced: {text}")


@dataclass(frozen=True, slots=True)
class Mounted:
    """A container of ours: its files are those of a folder of this machine."""

    name: str
    folder: Path

    def run(self, argv: list[str], *, within: float = 30.0) -> Ended:
        return InContainer(self.name).run(argv, within=within)

    def read_file(self, path: str) -> bytes | None:
        file = self.folder / Path(path).name
        return file.read_bytes() if file.exists() else None

    def write_file(self, path: str, data: bytes) -> None:
        replace_file(self.folder / Path(path).name, data.decode())
