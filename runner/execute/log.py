"""The log of a job's attempt, as its steps write to it."""

import re
import threading

from runner.events import Emit, OutputWritten
from runner.execute.task import JobTask
from runner.secrets import Masker
from runner.storage import LogWriter

#: How lines begin that mean something to whoever shows them.
_MARK = re.compile(r"(?:##\[\w+\])?")


class StepLog:
    """Appends what a step prints (masked by then), and what we say, and tells where it went."""

    def __init__(self, task: JobTask, writer: LogWriter, emit: Emit, masker: Masker) -> None:
        self._task = task
        self._writer = writer
        self._emit = emit
        self._masker = masker
        self._lock = threading.Lock()

    def say(self, step: int, text: str) -> None:
        """Lines of our own; what marks them stays whole, whatever a step has had masked."""
        lines = [self._masked(line) for line in text.split("\n")]
        self.write(step, b"".join(line + b"\n" for line in lines))

    def _masked(self, line: str) -> bytes:
        found = _MARK.match(line)
        mark = found[0] if found else ""
        return mark.encode() + self._masker.mask(line[len(mark) :].encode())

    def write(self, step: int, data: bytes) -> None:
        """Raises EnvironmentMissingError when the disk does not take it."""
        if not data:
            return
        where = self._task.where()
        with self._lock:
            offset = self._writer.write(step, data, where["time"])
        self._emit(OutputWritten(**where, step=step, offset=offset, length=len(data)))
