"""Runs at the times of `on.schedule`: each once, however many workers watch the clock."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Literal

from runner.cron import times
from runner.model import Pipeline
from runner.store import Store, schedules
from runner.store.schedules import Schedule

#: What becomes of times at which nobody watched: no run, one for the last of them, or all.
Misfire = Literal["skip", "once", "all"]
#: Seconds after which a time counts as missed.
GRACE = 60.0
#: More runs than this are never started for one schedule at once.
MOST = 1000


def schedules_of(pipeline: Pipeline, project: str, file: str) -> Iterator[Schedule]:
    """The lines of a pipeline's `on.schedule`."""
    written = pipeline.on.get("schedule")
    for entry in written if isinstance(written, list) else ():
        yield Schedule(project, file, entry["cron"], entry.get("timezone") or "")


class Clock:
    """Starts what is due. Schedules are told by `watch`; `start` begins the run for one time.

    It gets a submission key, the same for everybody who starts a run for that time.
    """

    def __init__(
        self, store: Store, misfire: Misfire, start: Callable[[Schedule, str], None]
    ) -> None:
        self._store = store
        self._misfire = misfire
        self._start = start
        self._schedules: tuple[Schedule, ...] = ()

    def watch(self, known: Iterable[Schedule]) -> None:
        """These from now on. One that is new fires for times to come only."""
        self._schedules = tuple(dict.fromkeys(known))

    def tick(self) -> float | None:
        """Start what is due; returns the seconds until something will be, None for never."""
        now = self._store.now()
        for schedule in self._schedules:
            self._see_to(schedule, now)
        upcoming = [next(times(each.cron, each.timezone, now), None) for each in self._schedules]
        waits = [moment - now for moment in upcoming if moment is not None]
        return min(waits, default=None)

    def _see_to(self, schedule: Schedule, now: float) -> None:
        since = schedules.handled_until(self._store.notes, schedule)
        if since is None:
            schedules.handled(self._store.promises, schedule, now)
            return
        due = self._due(schedule, since, now)
        for moment in due:
            self._start(schedule, key_of(schedule, moment))
        if due or now - since > GRACE:
            # Only now: a run that is started twice is the same run, one that is not is missing.
            schedules.handled(self._store.promises, schedule, now)

    def _due(self, schedule: Schedule, since: float, now: float) -> list[float]:
        if self._misfire == "all":
            return list(islice(_passed(schedule, since, now), MOST))
        if self._misfire == "skip":
            recent = _passed(schedule, max(since, now - GRACE - 1), now)
            return [moment for moment in recent if now - moment <= GRACE]
        return _last(schedule, since, now)


def _passed(schedule: Schedule, since: float, now: float) -> Iterator[float]:
    coming = times(schedule.cron, schedule.timezone, since)
    return takewhile(lambda moment: moment <= now, coming)


def _last(schedule: Schedule, since: float, now: float) -> list[float]:
    """The last time, if there is one: found from its end, however long nobody watched."""
    span, start = GRACE, now
    while start > since:
        start, span = max(since, now - span), span * 8
        if found := list(_passed(schedule, start, now)):
            return found[-1:]
    return []


def key_of(schedule: Schedule, moment: float) -> str:
    """The submission key of the run for one time of a schedule."""
    when = datetime.fromtimestamp(moment, UTC).isoformat()
    return f"schedule {schedule.file} {schedule.cron} {schedule.timezone or 'UTC'} {when}"
