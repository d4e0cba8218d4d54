"""An image that runs as it is, once: its output, its end, and its removal."""

from typing import TYPE_CHECKING

from runner.engines.box import End, Stop, Write
from runner.engines.docker.client import explain
from runner.engines.docker.framed import TICK, FramedOutput
from runner.engines.docker.removal import Reaper
from runner.engines.docker.stream import attach
from runner.engines.ending import Ending

if TYPE_CHECKING:
    from docker import APIClient
    from docker.errors import APIError

#: What shells, and the Docker command line, report for a program that is not there or cannot start.
NOT_FOUND, NOT_EXECUTABLE = 127, 126
#: Seconds that the engine may take to note a container's end.
PATIENCE = 10


class ImageRun:
    """A container that was created, and is gone after its run."""

    def __init__(self, api: "APIClient", reaper: Reaper, container: str) -> None:
        self._api = api
        self._reaper = reaper
        self._container = container

    def run(self, write: Write, stop: Stop, end: End | None) -> tuple[int, str]:
        """To its end: its exit code, and the reason as in `Finished`."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        try:
            output = FramedOutput(attach(self._api, self._container, stdin=False), write, end)
            try:
                return self._start(output, write, stop)
            finally:
                output.close()
        except (APIError, RequestException) as error:
            raise explain(error) from error
        finally:
            self._reaper.discard_soon(self._container)

    def _start(self, output: FramedOutput, write: Write, stop: Stop) -> tuple[int, str]:
        from docker.errors import APIError

        try:
            self._api.start(self._container)
        except APIError as error:
            if not (code := _refusal(error)):
                raise
            write(f"##[error]the image could not be started: {error.explanation}\n".encode())
            return code, ""
        return self._follow(output, stop)

    def _follow(self, output: FramedOutput, stop: Stop) -> tuple[int, str]:
        ending = Ending(stop)
        while not output.ended(TICK) and not ending.hopeless():
            for signal in ending.due():
                self._signal(signal)
        if not output.ended(0):
            return 137, ending.reason
        code = int(self._api.wait(self._container, timeout=PATIENCE)["StatusCode"])
        state = self._api.inspect_container(self._container)["State"]
        killed = "out-of-memory" if code and state.get("OOMKilled") else ""
        return code, ending.reason or killed

    def _signal(self, signal: str) -> None:
        from docker.errors import APIError

        try:
            self._api.kill(self._container, f"SIG{signal}")
        except APIError as error:
            # It has ended between two looks.
            if error.status_code not in (404, 409):
                raise


def _refusal(error: "APIError") -> int:
    """The exit code for a container that has nothing to run; 0 for other errors."""
    text = str(error.explanation)
    if "executable file not found" in text or "no such file or directory" in text:
        return NOT_FOUND
    return NOT_EXECUTABLE if "permission denied" in text else 0
