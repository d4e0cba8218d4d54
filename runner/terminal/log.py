"""What a worker tells of what it does: a line for people, or JSON for programs."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from runner.events import (
    Annotation,
    Event,
    JobFinished,
    JobQueued,
    JobStarted,
    Note,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from runner.terminal.words import visible
from runner.worker.log import Level

Format = Literal["text", "json"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


class WorkerLog:
    """Lines on a stream, from several threads; those below `level` are left out."""

    def __init__(self, stream: TextIO, *, form: Format = "text", level: Level = "info") -> None:
        self._stream = stream
        self._form = form
        self._least = LEVELS.index(level)
        self._lock = threading.Lock()

    def say(self, level: Level, message: str, *, run: int = 0, job: str = "", **more: Any) -> None:
        """Says one thing; what is in `more` is for programs alone."""
        if LEVELS.index(level) < self._least:
            return
        if self._form == "json":
            line = self._json(level, message, run, job, more)
        else:
            line = self._text(level, message, run, job)
        # Nobody reads it any more, or its disk is full: the work goes on.
        with self._lock, suppress(OSError):
            print(line, file=self._stream, flush=True)

    def emit(self, event: Event) -> None:
        """Says what an event means, if anything."""
        for level, message, more in _told(event):
            self.say(level, message, run=event.run, job=getattr(event, "job", ""), **more)

    def _text(self, level: Level, message: str, run: int, job: str) -> str:
        moment = datetime.fromtimestamp(time.time()).astimezone().strftime("%H:%M:%S")
        where = f"run {run} {job}".strip() + ": " if run else ""
        return f"{moment} {level:<7} {visible(where + message)}"

    def _json(self, level: Level, message: str, run: int, job: str, more: dict[str, Any]) -> str:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        where = {name: value for name, value in (("run", run), ("job", job)) if value}
        line = {"time": moment, "level": level, "message": message, **where, **more}
        return json.dumps(line)


def _told(event: Event) -> Iterator[tuple[Level, str, dict[str, Any]]]:
    match event:
        case RunStarted():
            yield "info", f"started: {event.name} ({event.file})", {"event": "RunStarted"}
        case RunFinished():
            level: Level = "info" if event.result in ("success", "cancelled") else "warning"
            yield level, _ended(event), {"event": "RunFinished", "result": event.result}
        case JobQueued():
            later = f" in {event.delay:.1f} s" if event.delay else ""
            yield "debug", f"attempt {event.attempt} is queued{later}", {"attempt": event.attempt}
        case JobStarted():
            yield "debug", f"runs in {event.image or 'no container'}", {"attempt": event.attempt}
        case JobFinished():
            failed = event.result == "failure"
            more = {"event": "JobFinished", "attempt": event.attempt, "result": event.result}
            yield "warning" if failed else "info", _ended(event), more
        case StepStarted():
            yield "debug", f"step {event.step} starts: {event.name}", {"step": event.step}
        case StepFinished():
            yield "debug", f"step {event.step}: {event.conclusion}", {"step": event.step}
        case Annotation():
            yield "debug", f"{event.level}: {event.message}", {"step": event.step}
        case Note():
            yield "info", event.message, {}


def _ended(event: JobFinished | RunFinished) -> str:
    return f"{event.result} ({event.reason})" if event.reason else event.result
