"""The control folder of a box whose files this host cannot see: everything goes by tar archive."""

import io
import secrets
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from runner.engines.control import LIMIT, RefusedFile
from runner.engines.tar import BlockReader

if TYPE_CHECKING:
    from docker import APIClient

#: Where the control folder is in every container.
CONTROL = "/github/pipe"


class ArchiveFolder:
    """A step's folder in such a box."""

    def __init__(self, api: "APIClient", container: str) -> None:
        self._api = api
        self._container = container
        self._name = secrets.token_hex(8)

    @property
    def inside(self) -> str:
        return f"{CONTROL}/{self._name}"

    def put(self, files: Mapping[str, bytes]) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            folder = tarfile.TarInfo(self._name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
            for name, data in files.items():
                entry = tarfile.TarInfo(f"{self._name}/{name}")
                entry.size, entry.mode = len(data), 0o666
                tar.addfile(entry, io.BytesIO(data))
        self._api.put_archive(self._container, CONTROL, archive.getvalue())

    def collect(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | RefusedFile]]:
        wanted = tuple(names)
        found = dict(self._read(wanted)) if wanted else {}
        for name in wanted:
            yield name, found.get(name, b"")

    def _read(self, wanted: Collection[str]) -> Iterator[tuple[str, bytes | RefusedFile]]:
        from docker.errors import NotFound

        try:
            blocks, _ = self._api.get_archive(self._container, self.inside)
        except NotFound:
            return  # the step removed its folder
        with tarfile.open(fileobj=BlockReader(blocks), mode="r|") as tar:
            for entry in tar:
                name = entry.name.partition("/")[2]
                if name not in wanted:
                    continue
                if not entry.isreg():
                    yield name, RefusedFile("it is no longer a regular file")
                elif entry.size > LIMIT:
                    yield name, RefusedFile(f"it holds {entry.size} bytes, more than {LIMIT}")
                else:
                    file = tar.extractfile(entry)
                    yield name, file.read() if file else b""

    def close(self) -> None:
        return
