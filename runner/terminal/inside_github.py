"""What GitHub's log shows of a run inside one of its jobs: groups, annotations, and nothing else."""

import threading
from collections.abc import Sequence
from secrets import token_hex

from runner.events import (
    Annotation,
    Event,
    ImagePulling,
    JobEvent,
    JobFinished,
    Note,
    OutputWritten,
    RunFinished,
    StepFinished,
)
from runner.terminal import headlines
from runner.terminal.github import command
from runner.terminal.outlet import Outlet
from runner.terminal.picture import Picture
from runner.terminal.report import Rerun, report
from runner.terminal.transcript import Read, shown
from runner.terminal.words import Paint, step_ending, visible
from runner.terminal.written import Written

_Step = tuple[StepFinished, Sequence[OutputWritten]]


class GitHubView:
    """Tells each thing in a line as it happens, and what a job printed as a group at its end.

    GitHub's runner obeys commands in what we print; so all that steps printed stands where it does
    not look for any, and `outlet` makes lines of ours harmless.
    """

    def __init__(
        self,
        outlet: Outlet,
        read: Read,
        rerun: Rerun,
        paint: Paint,
    ) -> None:
        self._outlet = outlet
        self._read = read
        self._rerun = rerun
        self._paint = paint
        self._lock = threading.Lock()
        self._picture = Picture()
        self._written = Written()
        self._steps: dict[str, list[_Step]] = {}

    def emit(self, event: Event) -> None:
        """Prints what there is to say about an event, before it returns."""
        with self._lock:
            self._picture.show(event)
            match event:
                case OutputWritten():
                    self._written.add(event)
                case Annotation():
                    self._annotate(event)
                case StepFinished():
                    outputs = self._written.take(event.job, event.step)
                    self._steps.setdefault(event.job, []).append((event, outputs))
                    self._announce(event)
                    self._accuse(event)
                case JobFinished():
                    self._show_job(event.job)
                    self._announce(event)
                case RunFinished():
                    for job in list(self._steps):
                        self._show_job(job)
                    width = self._outlet.width()
                    lines = report(self._picture, event, self._rerun, self._paint, width)
                    self._outlet.say(*lines)
                case ImagePulling(done=False):
                    pass
                case _:
                    self._announce(event)

    def close(self) -> None:
        """Shows what jobs printed that did not end."""
        with self._lock:
            for job in list(self._steps):
                self._show_job(job)

    def _announce(self, event: Event) -> None:
        line = headlines.headline(event, self._picture, self._paint)
        job = event.job if isinstance(event, JobEvent | Note) else ""
        if line and job:
            mark, _, text = line.partition(" ")
            line = f"{mark} {self._picture.job(job).name}: {text}"
        if line:
            self._outlet.say(line)

    def _annotate(self, note: Annotation) -> None:
        if note.level != "debug":
            self._command(
                note.level,
                note.message,
                title=note.title,
                file=note.file,
                line=note.line,
                endLine=note.end_line,
                col=note.column,
                endColumn=note.end_column,
            )

    def _accuse(self, event: StepFinished) -> None:
        """Marks the place in the pipeline of a step that failed."""
        if event.conclusion == "failure" and (place := event.position):
            ending = step_ending(event, self._picture.step_seconds(event))
            self._command(
                "error",
                f"{visible(event.name)} {ending}",
                title=self._picture.job(event.job).name,
                file=place.file,
                line=place.line,
                col=place.column,
            )

    def _show_job(self, job: str) -> None:
        steps = self._steps.pop(job, [])
        if any(outputs for _, outputs in steps):
            self._command("group", self._picture.job(job).name)
            for event, outputs in steps:
                if outputs:
                    self._outlet.say(self._paint("strong", f"▸ {visible(event.name)}"))
                    self._show_output(outputs)
            self._command("endgroup")
        self._written.forget(job)

    def _show_output(self, outputs: Sequence[OutputWritten]) -> None:
        # Nobody could know it when the step printed.
        token = token_hex(8)
        self._command("stop-commands", token)
        for block in shown(self._read, outputs, colour=self._paint.on):
            self._outlet.write(block)
        self._command(token)

    def _command(self, name: str, data: str = "", **properties: object) -> None:
        self._outlet.write(f"{command(name, data, **properties)}\n".encode(errors="replace"))
