"""One container per attempt of a job, with a supervisor in it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

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
from runner.engines.docker.client import explain
from runner.engines.docker.framed import FramedRunner
from runner.engines.docker.piped import PipedRunner
from runner.engines.docker.shell import interact
from runner.events import Result

if TYPE_CHECKING:
    from docker import APIClient

Runner = PipedRunner | FramedRunner


class DockerBox:
    """A container with a supervisor in it, and the boxes opened beside it."""

    def __init__(
        self,
        facts: BoxFacts,
        attached: Attached,
        runner: Runner,
        api: "APIClient",
        memory_limit: int,
        open_beside: Callable[[Image, Progress], "DockerBox"],
    ) -> None:
        self.facts = facts
        self._attached = attached
        self._runner = runner
        self._api = api
        self._memory_limit = memory_limit
        self._open_beside = open_beside
        self._folders: dict[str, Folder] = {}
        self._beside: dict[str, DockerBox] = {}
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
        if image.name not in self._beside:
            self._beside[image.name] = self._open_beside(image, progress)
        return self._beside[image.name]

    def read_tree(self, path: str) -> Iterator[bytes]:
        from docker.errors import APIError, NotFound
        from requests.exceptions import RequestException

        try:
            blocks, _ = self._api.get_archive(self.facts.id, path)
        except NotFound as error:
            raise FileNotFoundError(path) from error
        except (APIError, RequestException) as error:
            raise explain(error) from error
        return cast(Iterator[bytes], blocks)

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
            for box in self._beside.values():
                closing.callback(box.close, result)
