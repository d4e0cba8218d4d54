"""The end of a run, for people: what became of each job, what was found, what to do next."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

from runner.events import Annotation, Level, Result, RunFinished
from runner.terminal.picture import Job, Picture
from runner.terminal.words import (
    LEVEL_STYLES,
    MARKS,
    STYLES,
    VERBS,
    Paint,
    cells,
    counted,
    duration,
    padded,
    visible,
    visible_lines,
)

Rerun = Callable[[RunFinished], str]

#: Annotations that are listed; of more, only the number is told.
MOST_ANNOTATIONS = 50

#: Makes lines of a summary.
Markdown = Callable[[str], Sequence[str]]

_ORDER: Sequence[Level] = ("error", "warning", "notice")
_HEAD = ("", "job", "result", "time", "attempts")
_TIME = _HEAD.index("time")
#: A narrower column of reasons would be a column of words.
_NARROWEST = 24


def report(
    picture: Picture,
    end: RunFinished,
    rerun: Rerun,
    paint: Paint,
    width: int | None,
    markdown: Markdown = visible_lines,
) -> Iterator[str]:
    """All of it, in lines: the table, environments, annotations, summaries, how to run again, the
    verdict.

    `width` is in columns, for what can be wrapped; None where there is no limit. `markdown` makes
    lines of a summary.
    """
    yield ""
    yield from table(picture.jobs.values(), paint, width)
    yield from _environments(picture, paint)
    yield from _annotations(picture, paint)
    yield from _summaries(picture, paint, markdown)
    if command := rerun(end):
        yield from ("", f"{paint('faint', 'run again:')} {command}")
    yield from ("", verdict(picture, end, paint))


def brief_report(
    picture: Picture, end: RunFinished, paint: Paint, width: int | None
) -> Iterator[str]:
    """The jobs that failed, if any did, and the verdict."""
    failed = [job for job in picture.jobs.values() if job.result == "failure"]
    if failed:
        yield from table(failed, paint, width)
        yield ""
    yield verdict(picture, end, paint)


def table(jobs: Iterable[Job], paint: Paint, width: int | None) -> Iterator[str]:
    """A line a job under a head: result, duration, attempts, and why."""
    listed = [job for job in jobs if job.result]
    rows = [_row(job) for job in listed]
    if not rows:
        return
    widths = [max(map(cells, column)) for column in zip(_HEAD, *rows, strict=True)]
    yield paint("faint", "  ".join(_aligned(_HEAD, widths)).rstrip())
    used = sum(widths) + 2 * len(widths)
    for job, row in zip(listed, rows, strict=True):
        mark, name, result, *rest = _aligned(row, widths)
        style = STYLES[job.result or "skipped"]
        line = "  ".join([paint(style, mark), name, paint(style, result), *rest])
        first, *others = _wrapped(why(job), width and width - used)
        yield f"{line}  {first}".rstrip()
        yield from (" " * used + other for other in others)


def verdict(picture: Picture, end: RunFinished, paint: Paint) -> str:
    """The last line: `run 12 failed in 3.2 s: 1 of 4 jobs failed`."""
    joint = "after" if end.result == "cancelled" else "in"
    said = f"run {end.run} {VERBS[end.result]} {joint} {duration(picture.seconds(end.time))}"
    tally, reason = _tally(picture, end), visible(end.reason)
    details = f"{tally} ({reason})" if tally and reason else tally or reason
    return paint(STYLES[end.result], said) + (f": {details}" if details else "")


def why(job: Job) -> str:
    """Why a job ended as it did, and where; empty when there is nothing to explain."""
    position = job.failed.position if job.failed and job.result == "failure" else None
    ignored = " (continue-on-error)" if job.softly else ""
    return f"{cause(job)} at {position}{ignored}" if position else cause(job) + ignored


def cause(job: Job) -> str:
    """As `why`, without the place: what made a job or its last attempt end as it did."""
    if job.failed is None or job.result not in (None, "failure"):
        return job.reason
    code = f": exit code {job.failed.exit_code}" if job.failed.exit_code else ""
    reason = visible(job.failed.reason) or job.reason
    return f"{visible(job.failed.name)}{code}{f' ({reason})' if reason else ''}"


def _row(job: Job) -> tuple[str, ...]:
    result = job.result or "skipped"
    seconds = job.seconds()
    ran = ("", "") if seconds is None else (duration(seconds), str(job.attempt))
    return (MARKS[result], job.name, result, *ran)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    aligned = list(map(padded, row, widths))
    aligned[_TIME] = row[_TIME].rjust(widths[_TIME])
    return aligned


def _wrapped(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    return textwrap.wrap(text, max(width, _NARROWEST), break_on_hyphens=False) or [""]


def _tally(picture: Picture, end: RunFinished) -> str:
    total, results = picture.total(), picture.results()
    found = results[end.result]
    if not total or (not found and end.result != "success"):
        return ""
    if found == total and end.result == "success":
        told = [counted(total, "job")]
    else:
        told = [f"{found} of {counted(total, 'job')} {VERBS[end.result]}"]
    others: Sequence[Result] = ("failure", "cancelled", "skipped")
    told += [f"{results[o]} {VERBS[o]}" for o in others if results[o] and o != end.result]
    told += [f"{reused} reused"] if (reused := picture.reused()) else []
    return ", ".join(told)


def _annotations(picture: Picture, paint: Paint) -> Iterator[str]:
    found = [note for note in picture.annotations if note.level in _ORDER]
    found.sort(key=lambda note: _ORDER.index(note.level))
    if found:
        yield from ("", paint("strong", counted(len(found), "annotation")))
    for note in found[:MOST_ANNOTATIONS]:
        yield from _annotation(note, picture.job(note.job).name, paint)
    if len(found) > MOST_ANNOTATIONS:
        yield f"  and {len(found) - MOST_ANNOTATIONS} more"


def _annotation(note: Annotation, job: str, paint: Paint) -> Iterator[str]:
    first, *rest = visible_lines(note.message) or [""]
    title = f"{visible(note.title)}: " if note.title else ""
    place = f"{_place(note)}  " if note.file else ""
    level = paint(LEVEL_STYLES[note.level], f"{note.level:<7}")
    yield f"  {level}  {place}{title}{first}  {paint('faint', f'({job})')}"
    yield from (f"           {line}".rstrip() for line in rest)


def _place(note: Annotation) -> str:
    line = f":{note.line}" if note.line else ""
    return f"{visible(note.file)}{line}{f':{note.column}' if line and note.column else ''}"


def _environments(picture: Picture, paint: Paint) -> Iterator[str]:
    """Where the environments of jobs can be seen."""
    seen = [job for job in picture.jobs.values() if job.environment and job.address]
    if seen:
        yield ""
    for job in seen:
        yield f"{paint('strong', job.environment)}  {job.address}  {paint('faint', f'({job.name})')}"


def _summaries(picture: Picture, paint: Paint, markdown: Markdown) -> Iterator[str]:
    for job in picture.jobs.values():
        texts = [summary.text for summary in picture.summaries if summary.job == job.key]
        lines = markdown("\n".join(text.rstrip() for text in texts))
        if any(lines):
            yield from ("", paint("strong", f"Summary of {job.name}"))
            yield from (f"  {line}".rstrip() for line in lines)
