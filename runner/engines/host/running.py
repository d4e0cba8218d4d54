"""A process of a step on this machine: started, signalled with all that it started, and judged."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.engines.box import Process
from runner.engines.processes import STEP, marked, send

#: What shells report for a command that is not there, and for one that cannot be executed.
NOT_FOUND = 127
NOT_EXECUTABLE = 126


class NotStartedError(Exception):
    """The process could not be started: the text for the step's output, and its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Running:
    """`leader` leads a session and a group of its own; what it starts carries the step's id."""

    leader: "subprocess.Popen[bytes]"
    step: str

    @classmethod
    def start(cls, process: Process, env: Mapping[str, str], output: int) -> "Running":
        """Start it, printing to the descriptor `output`. Raises NotStartedError."""
        if not Path(process.cwd).is_dir():
            complaint = f"##[error]the working directory `{process.cwd}` does not exist"
            raise NotStartedError(complaint, 1)
        try:
            leader = subprocess.Popen(
                process.argv,
                cwd=process.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NotStartedError(f"{process.argv[0]}: not found", NOT_FOUND) from error
        except OSError as error:
            complaint = f"{process.argv[0]}: {error.strerror}"
            raise NotStartedError(complaint, NOT_EXECUTABLE) from error
        return cls(leader, process.id)

    def exit_code(self) -> int | None:
        """As a shell reports it, 128 and more for signals; None while it runs."""
        code = self.leader.poll()
        return 128 - code if code is not None and code < 0 else code

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.leader.wait(seconds)

    def signal(self, name: str) -> None:
        """To the group, then to those that left it: each process gets it once.

        Only while the leader runs, as afterwards its number may be another group's.
        """
        number = signal.Signals[f"SIG{name}"]
        elsewhere = [each for each in marked(STEP, self.step) if not self._has(each)]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leader.pid, number)
        for process in elsewhere:
            send(process, number)

    def _has(self, process: int) -> bool:
        try:
            return os.getpgid(process) == self.leader.pid
        except ProcessLookupError:
            return False
