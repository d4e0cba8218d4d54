"""Running a step through named pipes on this host: no call to the engine is on the way to it.

A launcher for the next process is always waiting in the box, so that a step costs neither the start
of a session nor that of a shell; it goes on when a byte arrives in its pipe.
"""

import os
import threading
import time

from runner.engines.box import End, Process, Stop, Write
from runner.engines.control import Folder, HostControl, HostFolder
from runner.engines.docker import launch
from runner.engines.docker.attached import Attached, Execution
from runner.engines.ending import Ending
from runner.engines.pipes import Flow, Pipes

#: Seconds between looks at the stop and the clock while a process is silent.
TICK = 0.1
#: Seconds between questions whether a running process' launcher is still there.
PULSE = 2.0
#: How often a launcher that was killed before it began is replaced.
RELAUNCHES = 3


class Berth:
    """A step's folder in which a launcher waits."""

    def __init__(self, folder: HostFolder, attached: Attached) -> None:
        self._folder = folder
        self._output = folder.fifo(launch.OUTPUT)
        self._go = folder.fifo(launch.GO, os.O_RDWR)
        self._attached = attached
        self.execution: Execution = attached.launch(folder.inside)
        self.put = folder.put
        self.collect = folder.collect

    @property
    def inside(self) -> str:
        return self._folder.inside

    def is_whole(self) -> bool:
        """False when an earlier step removed the folder, or the pipes in it."""
        return self._folder.has_pipes(launch.OUTPUT, launch.GO)

    def go(self) -> int:
        """Let the launcher go on; gives the pipe of its output, which is the caller's now."""
        os.write(self._go, b"\n")
        output, self._output = self._output, -1
        return output

    def relaunch(self) -> bool:
        """Replace a launcher that is gone; False when it had begun already."""
        try:
            unread = os.read(self._go, 1)
        except BlockingIOError:
            return False
        os.write(self._go, unread)
        self._attached.relaunch(self.execution, self.inside)
        return True

    def close(self) -> None:
        self._attached.forget(self.execution)
        for pipe in (self._output, self._go):
            if pipe >= 0:
                os.close(pipe)
        self._folder.close()


class PipedRunner:
    """Runs the processes of one box, in as many threads as there are at once."""

    def __init__(self, attached: Attached, control: HostControl) -> None:
        self._attached = attached
        self._control = control
        self._pipes = Pipes(attached.selector)
        self._lock = threading.Lock()
        self._next: Berth | None = self._berth()

    def folder(self) -> Berth:
        with self._lock:
            berth, self._next = self._next, None
        if berth is not None and not berth.is_whole():
            berth.close()
            berth = None
        return berth or self._berth()

    def run(
        self, process: Process, folder: Folder, write: Write, stop: Stop, end: End | None
    ) -> tuple[int, str]:
        assert isinstance(folder, Berth)
        output = f"{folder.inside}/{launch.OUTPUT}"
        script = launch.supervised(process.argv, process.env, process.cwd, output)
        folder.put({**process.files, launch.START: script})
        flow = self._pipes.watch(folder.go(), write, end)
        self._prepare_next()
        ending = Ending(stop)
        self._follow(folder, process.id, flow, ending)
        with self._attached.turns.alone():
            self._pipes.drain(flow)
        code = folder.execution.exit_code
        return (137, ending.reason or "lost") if code is None else (code, ending.reason)

    def close(self) -> None:
        """Pass on what background processes have printed until now, then stop listening."""
        self._pipes.close()
        if self._next is not None:
            self._next.close()

    def _prepare_next(self) -> None:
        with self._lock:
            if self._next is None:
                self._next = self._berth()

    def _berth(self) -> Berth:
        return Berth(self._control.folder(), self._attached)

    def _follow(self, berth: Berth, process: str, output: Flow, ending: Ending) -> None:
        execution, checked, relaunches = berth.execution, time.monotonic(), 0
        while execution.exit_code is None and not ending.hopeless():
            self._attached.turns.wait(self._listen, TICK)
            output.check()
            for signal in ending.due():
                self._attached.signal(execution, process, signal)
            if time.monotonic() - checked > PULSE:
                checked = time.monotonic()
                self._attached.check(execution)
            if execution.gone:
                relaunches += 1
                if relaunches > RELAUNCHES or not berth.relaunch():
                    break
        if execution.group and (ending.reason or execution.gone):
            self._attached.kill_rest(process, execution.group)

    def _listen(self) -> None:
        for key, _ in self._attached.selector.select(TICK):
            if not self._attached.takes(key.fileobj):
                self._pipes.pump(key.fd)
