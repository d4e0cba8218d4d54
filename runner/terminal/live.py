"""A calm picture of a run: a line for each job that runs, above it what is over."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from runner.events import (
    Event,
    JobFinished,
    JobQueued,
    Note,
    OutputWritten,
    RunFinished,
    RunStarted,
    StepFinished,
)
from runner.terminal import headlines
from runner.terminal.markdown import WIDTH, rendered
from runner.terminal.outlet import Outlet
from runner.terminal.picture import Picture
from runner.terminal.region import Region
from runner.terminal.report import Rerun, report
from runner.terminal.scene import TAIL_LINES, Layout, name_width, scene
from runner.terminal.transcript import Read, Transcript, shown
from runner.terminal.words import Paint, visible_lines
from runner.terminal.written import Written

#: Seconds between two pictures: at least, and, since a clock is shown, at most.
FASTEST, SLOWEST = 0.04, 1.0
#: Bytes of output that are read to show its last lines.
TAIL_BYTES = 4096


class LiveView:
    """Draws at the bottom of a terminal; `emit` only takes note, a thread of its own draws."""

    def __init__(self, outlet: Outlet, read: Read, rerun: Rerun, paint: Paint) -> None:
        self._outlet = outlet
        self._read = read
        self._rerun = rerun
        self._paint = paint
        self._region = Region(outlet)
        self._layout = Layout(colour=paint.on)
        self._lock = threading.Lock()
        self._picture = Picture()
        self._written = Written()
        self._pending: list[Iterable[bytes]] = []
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._broken: Exception | None = None
        self._drawer = threading.Thread(target=self._draw_until_closed, name="terminal")
        self._drawer.daemon = True
        self._drawer.start()

    def emit(self, event: Event) -> None:
        """Takes an event in; the screen shows it within a tenth of a second."""
        with self._lock:
            self._picture.show(event)
            if isinstance(event, OutputWritten):
                self._written.add(event)
            else:
                self._take(event)
        if not self._changed.is_set():
            self._changed.set()

    def close(self) -> None:
        """Shows what is left to show, and removes the region from the screen.

        Raises what made drawing impossible, if anything did.
        """
        self._closed.set()
        self._changed.set()
        self._drawer.join()
        self._region.draw(())
        if self._broken:
            raise self._broken

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._say(headlines.run_started(event, self._paint))
            case RunFinished():
                width = self._outlet.width()
                markdown = partial(rendered, colour=self._paint.on, width=width or WIDTH)
                self._say(*report(self._picture, event, self._rerun, self._paint, width, markdown))
            case JobQueued():
                self._say_of(event.job, headlines.queued(event, self._paint))
            case JobFinished():
                self._written.forget(event.job)
                width = name_width(self._picture)
                self._say(headlines.job_line(event, self._picture, width, self._paint))
            case StepFinished():
                self._take_step(event)
            case Note():
                self._say_of(event.job, headlines.note(event, self._paint))

    def _take_step(self, event: StepFinished) -> None:
        outputs = self._written.take(event.job, event.step)
        if event.outcome == "failure":
            line = headlines.step_finished(event, self._picture, self._paint)
            self._say_of(event.job, line)
        if where := headlines.place(event, self._paint):
            self._say(where)
        if event.conclusion == "failure" and outputs:
            self._pending.append(self._output(outputs))

    def _output(self, outputs: Sequence[OutputWritten]) -> Iterator[bytes]:
        rule = self._outlet.text(self._paint("faint", "─" * self._outlet.size().columns) + "\n")
        yield rule
        yield from shown(self._read, outputs, colour=self._paint.on)
        yield rule

    def _say_of(self, job: str, line: str) -> None:
        if line and job:
            mark, _, text = line.partition(" ")
            line = f"{mark} {self._picture.job(job).name}: {text}"
        if line:
            self._say(line)

    def _say(self, *lines: str) -> None:
        self._pending.append([self._outlet.text(f"{line}\n") for line in lines])

    def _draw_until_closed(self) -> None:
        try:
            while not self._closed.is_set():
                self._changed.wait(SLOWEST)
                self._changed.clear()
                self._draw()
                self._closed.wait(FASTEST)
            self._draw()
        except Exception as error:
            self._broken = error

    def _draw(self) -> None:
        with self._lock:
            above, self._pending = self._pending, []
            now = scene(self._picture, time.time())
            tail = self._tail()
        if above:
            self._region.print(block for blocks in above for block in blocks)
        lines = self._last_lines(tail) if tail else []
        self._region.draw(self._layout.lines(now, lines, self._outlet.size()) if now else ())

    def _tail(self) -> OutputWritten | None:
        """Where the last output of the only running job is."""
        running = self._picture.running()
        if len(running) != 1 or not (step := running[0].step):
            return None
        return self._written.tail(step.job, step.step, TAIL_BYTES)

    def _last_lines(self, tail: OutputWritten) -> list[str]:
        text = Transcript(colour=False).feed(self._read(tail)).decode(errors="replace")
        # Of a line that was drawn over again and again, the last state is what a terminal shows.
        lines = [line.rpartition("\r")[2] for line in text.split("\n")]
        return [line for line in visible_lines("\n".join(lines)) if line][-TAIL_LINES:]
