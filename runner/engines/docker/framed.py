"""Running a step by an `exec` of the engine, whose frames carry the output: where no pipe crosses."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runner.engines.box import End, Process, Stop, Write
from runner.engines.control import Folder
from runner.engines.docker import launch
from runner.engines.docker.attached import Attached
from runner.engines.docker.client import explain
from runner.engines.docker.stream import payloads, start_exec
from runner.engines.ending import Ending
from runner.errors import PipeError

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds between looks at the process, the stop and the clock.
TICK = 0.1


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
        self._outputs: list[FramedOutput] = []

    def run(
        self, process: Process, folder: Folder, write: Write, stop: Stop, end: End | None
    ) -> tuple[int, str]:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        script = launch.direct(process.argv, process.env, process.cwd)
        folder.put({**process.files, launch.START: script})
        command = ["/bin/sh", f"{folder.inside}/{launch.START}"]
        try:
            mark = {"PIPE_STEP": process.id}
            execution = self._api.exec_create(self._container, command, environment=mark)["Id"]
            response = start_exec(self._api, execution, tty=False)
            output = FramedOutput(response, write, end)
            self._outputs.append(output)
            ending = Ending(stop)
            while not output.ended(TICK) and self._running(execution) and not ending.hopeless():
                for signal in ending.due():
                    self._attached.link.send("sweep", signal, process.id)
            if ending.reason:
                self._attached.kill_rest(process.id)
            output.settle()
            self._attached.link.send("reap")
            code = self._exit_code(execution)
        except (APIError, RequestException) as error:
            self._attached.check_line()
            raise explain(error) from error
        return (137, ending.reason or "lost") if code is None else (code, ending.reason)

    def _running(self, execution: str) -> bool:
        return bool(self._api.exec_inspect(execution)["Running"])

    def _exit_code(self, execution: str) -> int | None:
        code = self._api.exec_inspect(execution)["ExitCode"]
        return None if code is None else int(code)

    def close(self) -> None:
        """Stop passing on output; the threads that read it end with the container."""
        with contextlib.ExitStack() as closing:
            for output in self._outputs:
                closing.callback(output.close)


class FramedOutput:
    """Reads a response's frames in a thread of its own, for as long as anything holds them open."""

    def __init__(self, response: Any, write: Write, end: End | None) -> None:
        self._write = write
        self._end = end
        self._passing_on = threading.Lock()
        self._closed = False
        self._ended = threading.Event()
        self._refused: PipeError | None = None
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._read, args=(response,), daemon=True)
        self._thread.start()

    def _read(self, response: Any) -> None:
        try:
            # A stream that breaks off is at its end; how the process ended is asked apart.
            with contextlib.suppress(OSError):
                for part in payloads(response):
                    self._last = time.monotonic()
                    self._pass_on(part)
            self._close()
        except PipeError as error:
            self._refused = error
        finally:
            # The engine waits for who reads it, also when the container is over.
            response.close()
            self._ended.set()

    def _pass_on(self, part: bytes) -> None:
        with self._passing_on:
            if not self._closed:
                self._write(part)

    def _close(self) -> None:
        with self._passing_on:
            closed, self._closed = self._closed, True
            if self._end and not closed:
                self._end()

    def close(self) -> None:
        """Pass on what is on its way, then nothing more."""
        self._ended.wait(TICK)
        self._close()

    def ended(self, timeout: float) -> bool:
        """Raises what `write` raised: output that nobody takes must not get lost in silence."""
        ended = self._ended.wait(timeout)
        if self._refused:
            raise self._refused
        return ended

    def settle(self) -> None:
        """After the process' end: wait until its own output is through."""
        while not self.ended(TICK) and time.monotonic() - self._last < 2 * TICK:
            pass
