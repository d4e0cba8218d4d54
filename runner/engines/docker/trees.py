"""Whole trees in and out of a container: through its own `tar`, else as the engine's archives."""

import contextlib
import tarfile
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from runner.engines.control import Folder, HostControl, explained
from runner.engines.docker.client import explain
from runner.engines.docker.stream import ERRORS, frames, start_exec
from runner.engines.script import RunsProcesses, run_script
from runner.engines.tar import Change, joined, owned_by_root, rewritten, tar_stream
from runner.engines.trees import (
    COMPLAINT,
    PATHS,
    check,
    listed,
    pack,
    packing,
    refused,
    tar_of,
    unpack,
)

if TYPE_CHECKING:
    from docker import APIClient

#: What all paths of ours are below, in every container.
INSIDE = "/github"

_MAKE = """\
mkdir -p "$2" || exit
[ -w "$2" ] || { echo "no permission to write to it" >&2; exit 1; }
id -u && id -g || printf '0\\n0\\n'
"""


class Trees:
    """The trees of one container."""

    def __init__(
        self,
        api: "APIClient",
        container: str,
        folder: Callable[[], Folder],
        control: HostControl | None,
        mounted: Collection[str],
    ) -> None:
        """`control` is there if named pipes in it cross; `folder` gives folders for files."""
        self._api = api
        self._container = container
        self._folder = folder
        self._control = control
        self._there = set(mounted)
        self._lock = threading.Lock()
        self._kind: str | None = None

    def bring(self, name: str, folder: Path) -> str:
        with self._lock, self._explained():
            if name not in self._there:
                blocks = _readable(tar_stream(folder, name, owned_by_root))
                self._api.put_archive(self._container, INSIDE, blocks)
                self._there.add(name)
        return path_of(name)

    def read(self, path: str) -> Iterator[bytes]:
        from docker.errors import NotFound

        with self._explained():
            try:
                blocks, _ = self._api.get_archive(self._container, path)
            except NotFound as error:
                raise FileNotFoundError(path) from error
        return cast(Iterator[bytes], blocks)

    def write(self, box: RunsProcesses, path: str, blocks: Iterable[bytes]) -> None:
        if self._control is None or not self._tar(box):
            self._put(box, path, blocks)
            return
        with explained(), contextlib.closing(self._control.folder()) as folder:
            unpack(box, folder, path, blocks, self._tar(box))

    def _put(self, box: RunsProcesses, path: str, blocks: Iterable[bytes]) -> None:
        what = f"the files could not be written to `{path}`"
        ended = run_script(box, _MAKE, [path])
        check(ended, what)
        user, group = (int(number) for number in ended.output.split())
        # The blocks may come from the same container, which can do nothing else while it takes some.
        with tempfile.TemporaryFile() as archive:
            try:
                archive.writelines(rewritten(blocks, lambda entry: _owned(entry, user, group)))
            except tarfile.TarError as error:
                raise refused(what, str(error)) from error
            archive.seek(0)
            with self._explained():
                self._api.put_archive(self._container, path, archive)

    def pack(
        self, box: RunsProcesses, cwd: str, paths: Sequence[str], *, follow: bool
    ) -> Iterator[bytes]:
        kind = self._tar(box)
        if not kind:
            return self._archives(cwd, paths)
        if self._control is None:
            blocks = self._through_exec(cwd, paths, packing(kind, follow=follow))
        else:
            with explained():
                folder = self._control.folder()
            blocks = pack(box, folder, cwd, paths, kind, follow=follow)
        return blocks if kind == "listing" else rewritten(blocks, several=True)

    def _through_exec(self, cwd: str, paths: Sequence[str], packs: str) -> Iterator[bytes]:
        with explained(), contextlib.closing(self._folder()) as folder:
            folder.put({PATHS: listed(paths)})
        command = [
            "/bin/sh",
            "-c",
            packs,
            "sh",
            folder.inside,
            cwd,
            f"{folder.inside}/{PATHS}",
        ]
        complaint = bytearray()
        with self._explained():
            execution = self._api.exec_create(self._container, command)["Id"]
            with contextlib.closing(start_exec(self._api, execution, tty=False)) as response:
                for stream, part in frames(response):
                    if stream != ERRORS:
                        yield part
                    elif len(complaint) < COMPLAINT:
                        complaint += part
            code = self._api.exec_inspect(execution)["ExitCode"]
        if code:
            text = " ".join(complaint.decode(errors="replace").split()) or f"exit code {code}"
            raise refused(f"the files in `{cwd}` could not be packed", text)

    def _archives(self, cwd: str, paths: Sequence[str]) -> Iterator[bytes]:
        def streams() -> Iterator[tuple[Iterable[bytes], Change]]:
            for path in paths:
                parent = str(PurePosixPath(path).parent)
                yield self._read_to_pack(cwd, path), _below(parent)

        return joined(streams())

    def _read_to_pack(self, cwd: str, path: str) -> Iterator[bytes]:
        try:
            return self.read(f"{cwd}/{path}")
        except FileNotFoundError as error:
            what = f"the files in `{cwd}` could not be packed"
            raise refused(what, f"`{path}` does not exist") from error

    def _tar(self, box: RunsProcesses) -> str:
        if self._kind is None:
            self._kind = tar_of(box)
        return self._kind

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        try:
            yield
        except (APIError, RequestException) as error:
            raise explain(error) from error


def path_of(name: str) -> str:
    """Where a folder mounted or brought under that name is."""
    return f"{INSIDE}/{name}"


def _readable(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """For a call of the engine, which would take an OSError for one of the connection."""
    try:
        yield from blocks
    except OSError as error:
        raise refused("the files could not be read", str(error)) from error


def _owned(entry: tarfile.TarInfo, user: int, group: int) -> tarfile.TarInfo:
    entry.uid, entry.gid = user, group
    entry.uname = entry.gname = ""
    return entry


def _below(parent: str) -> Change:
    def change(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        if parent != ".":
            entry.name = f"{parent}/{entry.name}"
            if entry.islnk():
                entry.linkname = f"{parent}/{entry.linkname}"
        return entry

    return change
