"""One container per attempt of a job, with a supervisor in it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from runner.engines.box import (
    BoxFacts,
    End,
    Finished,
    Image,
    Process,
    Progress,
    Stop,
    Write,
)
from runner.engines.control import Folder, explained, read_back
from runner.engines.docker import launch
from runner.engines.docker.attached import Attached
from runner.engines.docker.context import packed_context
from runner.engines.docker.framed import FramedRunner
from runner.engines.docker.once import ImageRun
from runner.engines.docker.piped import PipedRunner
from runner.engines.docker.shell import interact
from runner.engines.docker.trees import Trees, path_of
from runner.events import Result

if TYPE_CHECKING:
    from docker import APIClient

Runner = PipedRunner | FramedRunner


class BesideBox(Protocol):
    """What else runs over the workspace and network of a box."""

    def open(self, image: Image, progress: Progress) -> "DockerBox": ...

    def prepare(
        self, image: Image, process: Process, entrypoint: str, progress: Progress
    ) -> ImageRun: ...

    def build(
        self,
        context: Iterable[bytes],
        dockerfile: str,
        write: Write,
        build_args: Mapping[str, str],
        target: str,
    ) -> Image: ...

    def program(self, image: Image, program: str, progress: Progress) -> Path: ...

    def close(self, result: Result) -> None: ...


class DockerBox:
    """A container with a supervisor in it, and the boxes opened beside it."""

    def __init__(
        self,
        facts: BoxFacts,
        api: "APIClient",
        attached: Attached,
        runner: Runner,
        trees: Trees,
        beside: BesideBox,
        memory_limit: int,
    ) -> None:
        self.facts = facts
        self._api = api
        self._attached = attached
        self._runner = runner
        self._trees = trees
        self._beside = beside
        self._memory_limit = memory_limit
        self._folders: dict[str, Folder] = {}
        self._closers: list[Callable[[Result], None]] = []

    def new_folder(self) -> str:
        with explained():
            folder = self._runner.folder()
        self._folders[folder.inside] = folder
        return folder.inside

    def run(
        self, process: Process, write: Write, stop: Stop, *, end: End | None = None
    ) -> Finished:
        folder = self._folders.pop(process.folder)
        try:
            with explained():
                code, reason = self._runner.run(process, folder, write, stop, end)
                files, refused = read_back(folder, process.collect)
        finally:
            folder.close()
        if code and not reason and self._attached.memory_ran_out():
            reason = "out-of-memory"
        return Finished(code, files, refused, reason, self._explain(reason))

    def _explain(self, reason: str) -> str:
        if reason == "out-of-memory" and self._memory_limit:
            limit = self._memory_limit >> 20
            return f"the box's memory limit of {limit} MiB was reached and a process was killed"
        if reason == "out-of-memory":
            return "the machine's memory ran out and a process was killed"
        if reason == "lost":
            return "the step killed the process that watches over it"
        return ""

    def beside(self, image: Image, progress: Progress) -> "DockerBox":
        return self._beside.open(image, progress)

    def run_image(
        self,
        image: Image,
        process: Process,
        write: Write,
        stop: Stop,
        *,
        entrypoint: str = "",
        progress: Progress,
        end: End | None = None,
    ) -> Finished:
        folder = self._folders.pop(process.folder)
        try:
            with explained():
                folder.put(process.files)
                once = self._beside.prepare(image, process, entrypoint, progress)
                code, reason = once.run(write, stop, end)
                files, refused = read_back(folder, process.collect)
        finally:
            folder.close()
        return Finished(code, files, refused, reason, self._explain(reason))

    def build_image(
        self,
        context: Path | str,
        dockerfile: str,
        write: Write,
        *,
        build_args: Mapping[str, str] | None = None,
        target: str = "",
    ) -> Image:
        blocks = packed_context(self, context, dockerfile)
        return self._beside.build(blocks, dockerfile, write, build_args or {}, target)

    def bring(self, name: str, folder: Path) -> str:
        return self._trees.bring(name, folder)

    def bring_program(self, image: Image, program: str, progress: Progress) -> str:
        folder = self._beside.program(image, program, progress)
        return f"{self.bring(f'programs/{folder.name}', folder)}/{PurePosixPath(program).name}"

    def path_of(self, name: str) -> str:
        return path_of(name)

    def read_tree(self, path: str) -> Iterator[bytes]:
        return self._trees.read(path)

    def write_tree(self, path: str, blocks: Iterable[bytes]) -> None:
        self._trees.write(self, path, blocks)

    def pack(self, cwd: str, paths: Sequence[str], *, follow: bool = False) -> Iterator[bytes]:
        return self._trees.pack(self, cwd, paths, follow=follow)

    def shell(self, process: Process) -> int:
        folder = self._folders.pop(process.folder)
        script = launch.interactive(process.argv, process.env, process.cwd)
        with explained():
            folder.put({**process.files, launch.START: script})
        return interact(self._api, self.facts.id, ["/bin/sh", f"{folder.inside}/{launch.START}"])

    def on_close(self, closer: Callable[[Result], None]) -> None:
        """Also do this when the box closes; what was added last comes first."""
        self._closers.append(closer)

    def close(self, result: Result) -> None:
        """Raises what went wrong on the way, after all of it was tried."""
        with contextlib.ExitStack() as closing:
            for closer in self._closers:
                closing.callback(closer, result)
            closing.callback(self._runner.close)
            closing.callback(self._beside.close, result)
