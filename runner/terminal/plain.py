"""Lines that only ever follow each other, each with its job: for files, pipes and CI."""

import threading
from collections.abc import Iterator

from runner.events import (
    Event,
    ImagePulling,
    JobEvent,
    JobFinished,
    Note,
    OutputWritten,
    RunFinished,
    StepFinished,
)
from runner.terminal.escapes import RESET
from runner.terminal.headlines import headline, place
from runner.terminal.outlet import Outlet
from runner.terminal.picture import Picture
from runner.terminal.report import Rerun, report
from runner.terminal.transcript import Read, Transcript, ranges
from runner.terminal.words import Paint, cells, padded, shortened

#: Longer names of jobs are cut before their lines; the table at the end has them whole.
LONGEST_NAME = 32

_Source = tuple[str, int]


class PlainView:
    """Prints all that happens, as it happens; one line never holds the output of two steps."""

    def __init__(self, outlet: Outlet, read: Read, rerun: Rerun, paint: Paint) -> None:
        self._outlet = outlet
        self._read = read
        self._rerun = rerun
        self._paint = paint
        self._lock = threading.Lock()
        self._picture = Picture()
        self._transcripts: dict[_Source, Transcript] = {}
        self._pulling: set[tuple[str, str]] = set()
        self._width = 0
        self._prefixes: dict[tuple[str, int], bytes] = {}
        #: Who wrote the line that has no end yet.
        self._open: _Source | None = None

    def emit(self, event: Event) -> None:
        """Prints what there is to say about an event, before it returns."""
        with self._lock:
            self._picture.show(event)
            match event:
                case OutputWritten():
                    self._show_output(event)
                case RunFinished():
                    self._end_line()
                    self._outlet.say(*self._report(event))
                case ImagePulling() if self._is_known(event):
                    pass
                case StepFinished():
                    self._end_output((event.job, event.step))
                    self._announce(event)
                    self._tell(event.job, place(event, self._paint))
                case JobFinished():
                    self._end_outputs(event.job)
                    self._announce(event)
                case _:
                    self._announce(event)

    def close(self) -> None:
        """Ends the line that is open, so that what comes next begins one."""
        with self._lock:
            self._end_line()

    def _report(self, event: RunFinished) -> Iterator[str]:
        return report(self._picture, event, self._rerun, self._paint, self._outlet.width())

    def _announce(self, event: Event) -> None:
        job = event.job if isinstance(event, JobEvent | Note) else ""
        self._tell(job, headline(event, self._picture, self._paint))

    def _tell(self, job: str, line: str) -> None:
        if line:
            self._end_line()
            prefix = self._prefix(job) if job else b""
            self._outlet.write(prefix, self._outlet.text(f"{line}\n"))

    def _show_output(self, event: OutputWritten) -> None:
        source = (event.job, event.step)
        transcript = self._transcripts.setdefault(source, Transcript(colour=self._paint.on))
        for found in ranges(event):
            self._write(source, transcript.feed(self._read(found)))

    def _write(self, source: _Source, data: bytes) -> None:
        if not data:
            return
        if self._open != source:
            self._end_line()
        prefix = self._prefix(source[0])
        lead = b"" if self._open else prefix
        self._open = None if data.endswith(b"\n") else source
        lines = data.replace(b"\n", b"\n" + prefix)
        if b"\r" in lines:
            lines = lines.replace(b"\r", b"\r" + prefix)
        end = len(lines) if self._open else len(lines) - len(prefix)
        self._outlet.write(lead, memoryview(lines)[:end])

    def _end_output(self, source: _Source) -> None:
        if transcript := self._transcripts.pop(source, None):
            self._write(source, transcript.end())
            if self._open == source:
                self._end_line()

    def _end_outputs(self, job: str) -> None:
        for source in [source for source in self._transcripts if source[0] == job]:
            self._end_output(source)

    def _end_line(self) -> None:
        if self._open:
            self._outlet.write(RESET + b"\n" if self._paint.on else b"\n")
            self._open = None

    def _prefix(self, job: str) -> bytes:
        name = shortened(self._picture.job(job).name, LONGEST_NAME)
        if (name, self._width) not in self._prefixes:
            self._width = max(self._width, cells(name))
            text = self._paint("faint", f"{padded(name, self._width)} |") + " "
            self._prefixes[name, self._width] = self._outlet.text(text)
        return self._prefixes[name, self._width]

    def _is_known(self, event: ImagePulling) -> bool:
        """Whether this tells no more than how far a pull is that was announced before."""
        pull = (event.job, event.image)
        if event.done:
            self._pulling.discard(pull)
            return False
        known = pull in self._pulling
        self._pulling.add(pull)
        return known
