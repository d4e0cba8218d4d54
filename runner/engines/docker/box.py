"""One container per attempt of a job, and how a process of a step runs in it."""

import secrets
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from runner.engines.box import BoxFacts, Finished, Image, Process, Progress, Stop, Write
from runner.engines.control import Folder, HostControl, HostFolder, read_back
from runner.engines.docker import launch
from runner.engines.docker.client import explain
from runner.engines.docker.link import Link
from runner.engines.docker.shell import interact
from runner.engines.docker.stream import payloads, start_exec
from runner.engines.ending import Ending
from runner.engines.pipes import Pipes
from runner.events import Result

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds between looks at the stop and the clock while a process is silent.
TICK = 0.1
#: Seconds between questions whether a running process' launcher is still there.
PULSE = 2.0
#: Seconds that the supervisor may take to answer.
PATIENCE = 10.0

START = "start"
OUTPUT = "out"


@dataclass(slots=True)
class Execution:
    """What is known of the one process that runs right now."""

    token: str
    started: float
    group: str = ""
    exit_code: int | None = None
    gone: bool = False
    asked: float = 0.0


class Attached:
    """What every way of running shares: the supervisor's line, its replies, its signals."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.selector = selectors.DefaultSelector()
        self.selector.register(link, selectors.EVENT_READ)
        self.memory_kills = 0

    def signal(self, execution: Execution, process: str, signal: str) -> None:
        """To the process' group, then to all that carry its id; the launcher survives a KILL."""
        if execution.group and signal != "KILL":
            self.link.send("kill", signal, execution.group)
        self.link.send("sweep", signal, process)

    def ask(self, verb: str, *words: str) -> list[str]:
        """Send a question and wait for its reply; other replies meanwhile belong to nobody."""
        token = secrets.token_hex(8)
        self.link.send(verb, token, *words)
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.link, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                for _ in selector.select(deadline - time.monotonic()):
                    for reply in self.link.receive():
                        if reply[:1] == [token]:
                            return reply[1:]
        return []

    def memory_ran_out(self) -> bool:
        """True when the kernel killed for memory since the last time this was asked."""
        reply = self.ask("oom")
        before, self.memory_kills = self.memory_kills, int(reply[1]) if len(reply) > 1 else 0
        return self.memory_kills > before

    def close(self) -> None:
        self.selector.close()
        self.link.close()


class PipedRunner:
    """Runs processes through named pipes on this host; nothing on the way to a step is a call to
    the engine."""

    def __init__(self, attached: Attached, control: HostControl) -> None:
        self._attached = attached
        self._control = control
        self._pipes = Pipes(attached.selector)

    def folder(self) -> HostFolder:
        return self._control.folder()

    def run(self, process: Process, folder: Folder, write: Write, stop: Stop) -> tuple[int, str]:
        assert isinstance(folder, HostFolder)
        output = f"{folder.inside}/{OUTPUT}"
        script = launch.supervised(process.argv, process.env, process.cwd, output)
        folder.put({**process.files, START: script})
        pipe = folder.fifo(OUTPUT)
        self._pipes.watch(pipe, write)
        execution = Execution(secrets.token_hex(8), time.monotonic())
        self._attached.link.send("run", folder.inside, execution.token)
        ending = Ending(stop)
        self._follow(execution, process.id, ending)
        self._pipes.drain(pipe)
        if execution.exit_code is None:
            return 137, ending.reason or "lost"
        return execution.exit_code, ending.reason

    def _follow(self, execution: Execution, process: str, ending: Ending) -> None:
        while execution.exit_code is None and not execution.gone and not ending.hopeless():
            for key, _ in self._attached.selector.select(TICK):
                if key.fileobj is self._attached.link:
                    self._listen(execution)
                else:
                    self._pipes.pump(key.fd)
            for signal in ending.due():
                self._attached.signal(execution, process, signal)
            self._check_pulse(execution)
        if execution.group and (ending.reason or execution.gone):
            self._attached.link.send("sweep", "KILL", process)
            self._attached.link.send("kill", "KILL", execution.group)

    def _listen(self, execution: Execution) -> None:
        for reply in self._attached.link.receive():
            match reply:
                case [token, "pid", group] if token == execution.token:
                    execution.group = group
                case [token, "exit", code] if token == execution.token:
                    execution.exit_code = int(code)
                case [token, "gone", _] if token == execution.token:
                    execution.gone = True

    def _check_pulse(self, execution: Execution) -> None:
        now = time.monotonic()
        if execution.group and now - max(execution.asked, execution.started) > PULSE:
            execution.asked = now
            self._attached.link.send("alive", execution.token, execution.group)

    def close(self) -> None:
        """Pass on what background processes have printed until now, then stop listening."""
        self._pipes.close()


class FramedRunner:
    """Runs each process by an `exec` of the engine, whose frames carry the output."""

    def __init__(
        self,
        attached: Attached,
        api: "APIClient",
        container: str,
        folder: Callable[[], Folder],
    ) -> None:
        self._attached = attached
        self._api = api
        self._container = container
        self.folder = folder

    def run(self, process: Process, folder: Folder, write: Write, stop: Stop) -> tuple[int, str]:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        script = launch.direct(process.argv, process.env, process.cwd)
        folder.put({**process.files, START: script})
        command = ["/bin/sh", f"{folder.inside}/{START}"]
        try:
            execution = self._api.exec_create(self._container, command)["Id"]
            output = ExecOutput(self._api, execution, write)
            ending = Ending(stop)
            while not output.ended(TICK) and self._running(execution) and not ending.hopeless():
                for signal in ending.due():
                    self._attached.link.send("sweep", signal, process.id)
            output.settle()
            code = self._exit_code(execution)
        except (APIError, RequestException) as error:
            raise explain(error) from error
        return (137, ending.reason or "lost") if code is None else (code, ending.reason)

    def _running(self, execution: str) -> bool:
        return bool(self._api.exec_inspect(execution)["Running"])

    def _exit_code(self, execution: str) -> int | None:
        code = self._api.exec_inspect(execution)["ExitCode"]
        return None if code is None else int(code)

    def close(self) -> None:
        """Nothing is held: the threads that read output end with the container."""


class ExecOutput:
    """Reads an exec's frames in a thread of its own, for as long as anything holds them open."""

    def __init__(self, api: "APIClient", execution: str, write: Write) -> None:
        response = start_exec(api, execution, tty=False)
        self._write = write
        self._ended = threading.Event()
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._read, args=(response,), daemon=True)
        self._thread.start()

    def _read(self, response: object) -> None:
        try:
            for part in payloads(response):
                self._last = time.monotonic()
                self._write(part)
        finally:
            self._ended.set()

    def ended(self, timeout: float) -> bool:
        return self._ended.wait(timeout)

    def settle(self) -> None:
        """After the process' end: wait until its own output is through."""
        while not self._ended.wait(TICK) and time.monotonic() - self._last < 2 * TICK:
            pass


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
        folder = self._runner.folder()
        self._folders[folder.inside] = folder
        return folder.inside

    def run(self, process: Process, write: Write, stop: Stop) -> Finished:
        folder = self._folders.pop(process.folder)
        try:
            code, reason = self._runner.run(process, folder, write, stop)
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
        folder.put({**process.files, START: script})
        return interact(self._api, self.facts.id, ["/bin/sh", f"{folder.inside}/{START}"])

    def on_close(self, closer: Callable[[Result], None]) -> None:
        """Also do this when the box closes; what was added last comes first."""
        self._closers.append(closer)

    def close(self, result: Result) -> None:
        for box in self._beside.values():
            box.close(result)
        self._runner.close()
        for closer in reversed(self._closers):
            closer(result)
