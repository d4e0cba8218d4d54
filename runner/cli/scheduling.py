"""`pipe worker --schedule`: the pipelines of a project that start at times, as they are now."""

import time
from collections.abc import Mapping
from pathlib import Path

from runner import queue
from runner.cli.loading import load_pipeline
from runner.cli.submitting import Terms, submit
from runner.cli.typed import Options
from runner.errors import EnvironmentMissingError, PipeError
from runner.project import list_pipelines
from runner.queue import Submission
from runner.store import Store
from runner.store.schedules import Schedule
from runner.triggers.cron import Clock, Misfire, schedules_of
from runner.worker.log import Log

#: Seconds between looks at whether the project's pipelines have changed.
LOOK = 5.0
_Stamp = tuple[int, int]


class Schedules:
    """The schedules of all pipelines of the project at `folder`; `tick` starts what is due."""

    def __init__(self, store: Store, folder: Path, misfire: Misfire, log: Log) -> None:
        self._store = store
        self._folder = folder
        self._log = log
        self._clock = Clock(store, misfire, self._start)
        self._stamps: Mapping[Path, _Stamp] = {}
        self._of: dict[Path, tuple[Schedule, ...]] = {}
        self._looked = float("-inf")

    def tick(self) -> float:
        """Start what is due; returns in how many seconds it wants to be called again."""
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            self._look()
        wait = self._clock.tick()
        return LOOK if wait is None else min(LOOK, wait)

    def _look(self) -> None:
        files = list_pipelines(self._folder)
        stamps = {file: _stamp(file) for file in files}
        if stamps == self._stamps:
            return
        changed = [file for file in files if self._stamps.get(file) != stamps[file]]
        self._of = {file: self._of.get(file, ()) for file in files}
        for file in changed:
            self._read(file)
        self._stamps = stamps
        self._clock.watch(schedule for found in self._of.values() for schedule in found)

    def _read(self, file: Path) -> None:
        """What cannot be read keeps the times it had, so that its runs are missed by nobody."""
        try:
            loaded = load_pipeline(str(file), self._folder)
        except PipeError as error:
            self._log.say("error", f"{file}: {error.message}")
            return
        root = str(loaded.project.root)
        self._of[file] = tuple(schedules_of(loaded.pipeline, root, loaded.document.file))
        for schedule in self._of[file]:
            zone = schedule.timezone or "UTC"
            self._log.say("info", f"{schedule.file} runs at `{schedule.cron}` ({zone})")

    def _start(self, schedule: Schedule, key: str) -> None:
        wanted = Options(file=str(Path(schedule.project, schedule.file)), event="schedule")
        happened = {"schedule": schedule.cron}
        try:
            [run] = submit([wanted], Terms(key=key, happened=happened))
        except EnvironmentMissingError:
            raise
        except PipeError as error:
            run = self._bury(schedule, key, error)
        self._log.say("info", f"{schedule.file} is due by `{schedule.cron}`", run=run)

    def _bury(self, schedule: Schedule, key: str, error: PipeError) -> int:
        """A run that cannot be made is a dead letter, so that it is not missed without a word."""
        self._log.say("error", f"{schedule.file}: {error.message}")
        return queue.enqueue_dead(
            self._store, _unreadable(schedule, key), error.message, self._store.now()
        )


def _unreadable(schedule: Schedule, key: str) -> Submission:
    path = Path(schedule.project, schedule.file)
    return Submission(
        file=schedule.file,
        text=path.read_text("utf-8", "replace") if path.is_file() else "",
        project=schedule.project,
        name=path.stem,
        trigger={"event": "schedule"},
        submission_key=key,
    )


def _stamp(file: Path) -> _Stamp:
    """Changes with the file; one that has just gone has none."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
