"""The result of a run as Markdown, for the summary of the GitHub job that Pipe runs in."""

import re

from runner.events import RunFinished
from runner.terminal.picture import Job, Picture
from runner.terminal.report import verdict, why
from runner.terminal.words import MARKS, Paint, duration, visible

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&])")
_PLAIN = Paint(on=False)


def outer_summary(picture: Picture, end: RunFinished) -> str:
    """A heading with the verdict, and a table with a row for each job."""
    name = picture.started.name if picture.started else ""
    lines = [f"### {_escaped(name)}", "", _escaped(verdict(picture, end, _PLAIN)), ""]
    jobs = [job for job in picture.jobs.values() if job.result]
    if jobs:
        lines += ["| job | result | time | why |", "| --- | --- | --- | --- |", *map(_row, jobs)]
    return "\n".join([*lines, "", ""])


def _row(job: Job) -> str:
    seconds, result = job.seconds(), job.result or "skipped"
    took = "" if seconds is None else duration(seconds)
    cells = (job.name, f"{MARKS[result]} {result}", took, why(job))
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", visible(text))
