"""`on.schedule`: cron lines that never fire or cannot be read."""

from collections.abc import Iterator

from runner import cron
from runner.cron import FIELDS
from runner.errors import Position, Problem
from runner.lint.findings import finding
from runner.model import Path, Pipeline
from runner.source import Document


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every `cron` that has not five good fields."""
    schedule = pipeline.on.get("schedule")
    for index, entry in enumerate(schedule if isinstance(schedule, list) else ()):
        path = ("on", "schedule", index, "cron")
        if isinstance(entry, dict) and isinstance(entry.get("cron"), str):
            yield from _cron(entry["cron"], path, document)
        zone = entry.get("timezone") if isinstance(entry, dict) else None
        if isinstance(zone, str) and not cron.is_zone(zone):
            place = document.locate(("on", "schedule", index, "timezone"))
            message = f"there is no time zone `{zone}`"
            yield finding("invalid-cron", message, place, "a name such as `Europe/Berlin`")


def _cron(line: str, path: Path, document: Document) -> Iterator[Problem]:
    fields = line.split()
    if len(fields) != len(FIELDS):
        message = f"cron `{line}` has {len(fields)} fields instead of 5"
        hint = f"the fields are {', '.join(FIELDS)}: `30 4 * * 1-5` is 4:30 from Monday to Friday"
        yield finding("invalid-cron", message, document.locate(path), hint)
        return
    try:
        cron.check(line)
    except cron.BadFieldError as error:
        yield _bad_field(line, error.name, path, document)


def _bad_field(line: str, name: str, path: Path, document: Document) -> Problem:
    value = line.split()[FIELDS.index(name)]
    position = _field_position(line, FIELDS.index(name), path, document)
    return finding("invalid-cron", f"`{value}` is not a valid {name}", position, _RANGES[name])


def _field_position(line: str, index: int, path: Path, document: Document) -> Position:
    offset = 0
    for field in line.split()[:index]:
        offset = line.index(field, offset) + len(field)
    value = line.split()[index]
    return document.locate_in(path, line.index(value, offset), len(value))


_RANGES = {
    "minute": "0-59, `*`, `*/5`, `0,30`",
    "hour": "0-23, `*`, `*/2`, `9-17`",
    "day-of-month": "1-31 and a day that the month has",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 (0 and 7 are Sunday) or SUN-SAT",
}
