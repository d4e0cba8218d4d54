"""What the live view shows of a run at one moment, and how it lies on the screen."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.events import ImagePulling
from runner.terminal.picture import Job, Picture
from runner.terminal.words import (
    PULL_MARK,
    RUNNING_MARK,
    WAITING_MARK,
    cells,
    counted,
    elapsed,
    size,
    visible,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

#: The most lines of output under a job that runs alone.
TAIL_LINES = 8
#: Columns for names: longer ones are cut, so that there is room for what the job does.
SHORTEST_NAME, LONGEST_NAME = 12, 32

#: Columns for a duration, here and in the lines of jobs that ended.
TIME_WIDTH = 7

_BAR = 20
#: Below the jobs: an empty line, the state of the run, and the cursor.
_BELOW = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of a run that has not ended: `waiting` counts jobs that have not begun."""

    now: float
    seconds: float
    running: Sequence[Job]
    retrying: Sequence[Job]
    waiting: int
    done: int
    failed: int
    total: int
    width: int


def scene(picture: Picture, now: float) -> Scene | None:
    """The run at `now`; None before its start and after its end."""
    if picture.finished or not (picture.started or picture.jobs):
        return None
    running = picture.running()
    jobs = picture.jobs.values()
    retrying = [job for job in jobs if job.state == "waiting" and job.begun is not None]
    results = picture.results()
    done = sum(results.values())
    return Scene(
        now=now,
        seconds=picture.seconds(now),
        running=running,
        retrying=retrying,
        waiting=picture.total() - done - len(running) - len(retrying),
        done=done,
        failed=results["failure"],
        total=picture.total(),
        width=name_width(picture),
    )


def name_width(picture: Picture) -> int:
    """Columns for the names of jobs: the same for all lines, so that nothing moves sideways."""
    widest = max((cells(job.name) for job in picture.jobs.values()), default=0)
    return min(max(widest, SHORTEST_NAME), LONGEST_NAME)


class Layout:
    """Puts scenes into lines of a terminal."""

    def __init__(self, *, colour: bool) -> None:
        from rich.console import Console

        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="standard" if colour else None,
            legacy_windows=False,
            highlight=False,
            _environ={},
        )

    def lines(self, scene: Scene, tail: Sequence[str], screen: os.terminal_size) -> list[str]:
        """The lines of a scene, fewer than the screen has; `tail` is what the only job printed."""
        from rich.console import Group

        room = max(screen.lines - _BELOW, 1)
        jobs, rest = _fit(scene, room)
        left = min(TAIL_LINES, room - len(jobs) - bool(rest))
        tail = tail[-left:] if left > 0 else ()
        self._console.size = (screen.columns, screen.lines)
        with self._console.capture() as captured:
            self._console.print(Group(_table(scene, jobs), *_below(scene, tail, rest)))
        return captured.get().splitlines()[-(screen.lines - 1) :]


def _fit(scene: Scene, room: int) -> tuple[list[Job], str]:
    """The jobs that have a line each, and a line about the others."""
    jobs = [*scene.running, *scene.retrying]
    if len(jobs) + bool(scene.waiting) > room:
        jobs = jobs[: room - 1]
    more = len(scene.running) + len(scene.retrying) - len(jobs)
    rest = [f"+{more} running"] if more else []
    rest += [f"+{scene.waiting} waiting"] if scene.waiting > 0 else []
    return jobs, ", ".join(rest)


def _table(scene: Scene, jobs: Sequence[Job]) -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=scene.width + 2, no_wrap=True, overflow="ellipsis")
    table.add_column(width=TIME_WIDTH, justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for job in jobs:
        table.add_row(*_row(job, scene.now))
    return table


def _row(job: Job, now: float) -> Sequence["Text"]:
    from rich.text import Text

    if job.state == "waiting":
        left = f"attempt {job.attempt} in {elapsed(job.due - now)}"
        name = Text.assemble((WAITING_MARK, "yellow"), f" {job.name}")
        return (name, Text(""), Text(left, "dim"))
    mark = PULL_MARK if job.pull else RUNNING_MARK
    name = Text.assemble((mark, "cyan"), f" {job.name}")
    return (name, Text(elapsed(now - job.since)), _activity(job))


def _activity(job: Job) -> "Text":
    from rich.text import Text

    attempt = Text(f"attempt {job.attempt}  " if job.attempt > 1 else "", "yellow")
    if job.pull:
        return attempt + _progress(job.pull)
    return attempt + Text(visible(job.step.name) if job.step else "", "dim")


def _progress(pull: ImagePulling) -> "Text":
    from rich.text import Text

    if not pull.total:
        return Text(f"pulling {visible(pull.image)}", "dim")
    filled = min(_BAR * pull.current // pull.total, _BAR)
    bar = Text.assemble(("━" * filled, "cyan"), ("─" * (_BAR - filled), "dim"))
    amount = f"  {size(pull.current)} of {size(pull.total)}  {visible(pull.image)}"
    return bar + Text(amount, "dim")


def _below(scene: Scene, tail: Sequence[str], rest: str) -> Sequence["Text"]:
    from rich.text import Text

    lines = [f"  │ {line}" for line in tail]
    lines += [f"  {rest}"] if rest else []
    done = f"{scene.done} of {counted(scene.total, 'job')} done"
    failed = f", {scene.failed} failed" if scene.failed else ""
    lines += ["", f"{done}{failed}, {elapsed(scene.seconds)}"]
    return [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in lines]
