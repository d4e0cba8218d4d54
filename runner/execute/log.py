"""The log of a job's attempt, as its steps write to it."""

import threading

from runner.events import Emit, OutputWritten
from runner.execute.task import JobTask
from runner.storage import LogWriter


class StepLog:
    """Appends what a step prints (masked by then) and says where it went."""

    def __init__(self, task: JobTask, writer: LogWriter, emit: Emit) -> None:
        self._task = task
        self._writer = writer
        self._emit = emit
        self._lock = threading.Lock()

    def write(self, step: int, data: bytes) -> None:
        """Raises EnvironmentMissingError when the disk does not take it."""
        if not data:
            return
        where = self._task.where()
        with self._lock:
            offset = self._writer.write(step, data, where["time"])
        self._emit(OutputWritten(**where, step=step, offset=offset, length=len(data)))
