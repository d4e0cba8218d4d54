"""A job's place on this machine: a folder of its own, and processes that carry its mark."""

import contextlib
import os
import selectors
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from runner.engines.box import (
    BoxFacts,
    End,
    EngineError,
    Finished,
    Image,
    Process,
    Progress,
    Stop,
    Write,
)
from runner.engines.control import HostControl, HostFolder, explained, read_back
from runner.engines.ending import Ending
from runner.engines.host.running import NotStartedError, Running
from runner.engines.host.trees import HostTrees
from runner.engines.pipes import Flow, Pipes
from runner.engines.processes import BOX, STEP, end_marked
from runner.engines.tar import tar_stream
from runner.engines.trees import pack, unpack
from runner.engines.turns import Turns, Waker
from runner.events import Result

#: Seconds between looks at a process whose output is held open by others.
TICK = 0.02


class HostBox:
    """Threads may share it; processes in the background live on until it closes."""

    def __init__(
        self,
        facts: BoxFacts,
        label: str,
        control: HostControl,
        trees: HostTrees,
        let_go: Callable[[Result], None],
    ) -> None:
        """`label` is the mark of its processes; `let_go` is called last, when none of them is left."""
        self.facts = facts
        self._label = label
        self._control = control
        self._trees = trees
        self._let_go = let_go
        self._folders: dict[str, HostFolder] = {}
        self._selector = selectors.DefaultSelector()
        self._pipes = Pipes(self._selector)
        self._waker = Waker()
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._turns = Turns(self._waker.wake)

    def new_folder(self) -> str:
        with explained():
            folder = self._control.folder()
        self._folders[folder.inside] = folder
        return folder.inside

    def run(
        self, process: Process, write: Write, stop: Stop, *, end: End | None = None
    ) -> Finished:
        folder = self._folders.pop(process.folder)
        try:
            with explained():
                folder.put(process.files)
            code, reason = self._run(process, write, stop, end)
            files, refused = read_back(folder, process.collect)
        finally:
            folder.close()
        return Finished(code, files, refused, reason)

    def _run(self, process: Process, write: Write, stop: Stop, end: End | None) -> tuple[int, str]:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        flow = self._pipes.watch(reading, write, end)
        try:
            running = Running.start(process, self._environment(process), writing)
        except NotStartedError as error:
            write(f"{error}\n".encode(errors="surrogateescape"))
            return error.exit_code, ""
        finally:
            os.close(writing)
        ending = Ending(stop)
        self._follow(running, flow, ending)
        if ending.reason:
            end_marked(STEP, process.id)
        with self._turns.alone():
            self._pipes.drain(flow)
        code = running.exit_code()
        return 137 if code is None else code, ending.reason

    def _follow(self, running: Running, output: Flow, ending: Ending) -> None:
        while running.exit_code() is None and not ending.hopeless():
            if not output.is_open:
                running.wait(TICK)
            self._turns.wait(self._listen, TICK)
            output.check()
            for signal in ending.due():
                running.signal(signal)

    def _listen(self) -> None:
        # The waker alone is nothing to wait for.
        for key, _ in self._selector.select(TICK if len(self._selector.get_map()) > 1 else 0):
            if key.fileobj is self._waker:
                self._waker.calm()
            else:
                self._pipes.pump(key.fd)

    def _environment(self, process: Process) -> dict[str, str]:
        return {**self.facts.env, **process.env, STEP: process.id, BOX: self._label}

    def beside(
        self,
        image: Image,  # noqa: ARG002 - the contract's shape
        progress: Progress,  # noqa: ARG002 - the contract's shape
    ) -> "HostBox":
        """Raises EngineError: there are no images here."""
        raise EngineError(
            "host",
            "a step's image needs a container",
            hint="remove the step's `image`, or `runs-on: self-hosted` from its job",
        )

    def run_image(
        self,
        image: Image,  # noqa: ARG002 - the contract's shape
        process: Process,  # noqa: ARG002 - the contract's shape
        write: Write,  # noqa: ARG002 - the contract's shape
        stop: Stop,  # noqa: ARG002 - the contract's shape
        *,
        entrypoint: str = "",  # noqa: ARG002 - the contract's shape
        progress: Progress,  # noqa: ARG002 - the contract's shape
        end: End | None = None,  # noqa: ARG002 - the contract's shape
    ) -> Finished:
        """Raises EngineError: there are no images here."""
        raise _needs_container("an action that runs in an image")

    def build_image(
        self,
        context: Path | str,  # noqa: ARG002 - the contract's shape
        dockerfile: str,  # noqa: ARG002 - the contract's shape
        write: Write,  # noqa: ARG002 - the contract's shape
        *,
        build_args: Mapping[str, str] | None = None,  # noqa: ARG002 - the contract's shape
        target: str = "",  # noqa: ARG002 - the contract's shape
    ) -> Image:
        """Raises EngineError: there are no images here."""
        raise _needs_container("an action that builds its image")

    def bring(self, name: str, folder: Path) -> str:
        with explained():
            return self._trees.bring(name, folder)

    def bring_program(
        self,
        image: Image,  # noqa: ARG002 - the contract's shape
        program: str,
        progress: Progress,  # noqa: ARG002 - the contract's shape
    ) -> str:
        """Raises EngineError: there are no images here."""
        name = Path(program).name
        raise EngineError("host", f"`{name}` is not on this machine", hint=f"install `{name}`")

    def path_of(self, name: str) -> str:
        return self._trees.path_of(name)

    def read_tree(self, path: str) -> Iterator[bytes]:
        place = Path("/", path)
        if not os.path.lexists(place):
            raise FileNotFoundError(path)
        return tar_stream(place)

    def write_tree(self, path: str, blocks: Iterable[bytes]) -> None:
        with explained(), contextlib.closing(self._control.folder()) as folder:
            unpack(self, folder, path, blocks, "listing")

    def pack(self, cwd: str, paths: Sequence[str], *, follow: bool = False) -> Iterator[bytes]:
        with explained():
            folder = self._control.folder()
        return pack(self, folder, cwd, paths, "listing", follow=follow)

    def shell(self, process: Process) -> int:
        folder = self._folders.pop(process.folder)
        try:
            with explained():
                folder.put(process.files)
        finally:
            folder.close()
        cwd = process.cwd if Path(process.cwd).is_dir() else self.facts.workspace
        code = subprocess.call(process.argv, cwd=cwd, env=self._environment(process))
        return 128 - code if code < 0 else code

    def close(self, result: Result) -> None:
        """Raises what went wrong on the way, after all of it was tried."""
        end_marked(BOX, self._label)
        with contextlib.ExitStack() as closing:
            closing.callback(self._let_go, result)
            closing.callback(self._control.close)
            for folder in self._folders.values():
                closing.callback(folder.close)
            closing.callback(self._waker.close)
            closing.callback(self._selector.close)
            closing.callback(self._pipes.close)


def _needs_container(what: str) -> EngineError:
    return EngineError(
        "host",
        f"{what} needs a container",
        hint="remove the step, or `runs-on: self-hosted` from its job",
    )
