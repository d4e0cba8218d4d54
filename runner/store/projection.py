"""What an event changes in the tables beside being written down."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, cast

from runner.errors import Position
from runner.events import (
    EVENT_TYPES,
    Annotation,
    Event,
    ImagePulling,
    JobFinished,
    JobStarted,
    OutputWritten,
    StepFinished,
    StepStarted,
)
from runner.store.connection import Database

_INSERT_EVENT = """
INSERT INTO event (run, job, attempt, time, kind, data)
VALUES (:run, :job, :attempt, :time, :event, :data)
"""
_STEP_STARTED = """
INSERT INTO step (run, job, attempt, number, id, name, position, started_at, reason)
VALUES (:run, :job, :attempt, :step, :id, :name, :place, :time, '')
ON CONFLICT (run, job, attempt, number) DO UPDATE SET started_at = excluded.started_at
"""
_STEP_FINISHED = """
INSERT INTO step (run, job, attempt, number, id, name, position, finished_at,
                  outcome, conclusion, exit_code, reason)
VALUES (:run, :job, :attempt, :step, :id, :name, :place, :time,
        :outcome, :conclusion, :exit_code, :reason)
ON CONFLICT (run, job, attempt, number) DO UPDATE SET
    name = excluded.name, finished_at = excluded.finished_at, outcome = excluded.outcome,
    conclusion = excluded.conclusion, exit_code = excluded.exit_code, reason = excluded.reason
"""
_ANNOTATION = """
INSERT INTO annotation (run, job, attempt, step, level, message, title, file,
                        line, end_line, "column", end_column)
VALUES (:run, :job, :attempt, :step, :level, :message, :title, :file,
        :line, :end_line, :column, :end_column)
"""
_JOB_STARTED = """
UPDATE attempt SET image = :image WHERE run = :run AND job = :job AND number = :attempt
"""
_JOB_FINISHED = """
UPDATE attempt SET finished_at = :time, result = :result, reason = :reason
WHERE run = :run AND job = :job AND number = :attempt
"""
PROJECTIONS: Mapping[type[Event], str] = {
    StepStarted: _STEP_STARTED,
    StepFinished: _STEP_FINISHED,
    Annotation: _ANNOTATION,
    JobStarted: _JOB_STARTED,
    JobFinished: _JOB_FINISHED,
}
_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in EVENT_TYPES.values()}


def is_kept(event: Event) -> bool:
    """Whether the event is written down. Progress is not; ranges of output are in the log's index."""
    if isinstance(event, ImagePulling):
        return event.done
    return not isinstance(event, OutputWritten)


def write(database: Database, events: Iterable[Event]) -> None:
    """Writes events and what follows from them, inside the transaction that `database` is in."""
    rows = [(PROJECTIONS.get(type(event)), _row(event)) for event in events]
    database.executemany(_INSERT_EVENT, [row for _, row in rows])
    for projection, row in rows:
        if projection:
            database.execute(projection, row)


def _row(event: Event) -> dict[str, Any]:
    values = _values(event)
    data = _dump(values)
    return {"job": "", "attempt": 0, **values, "data": data, "place": _place(event)}


def _values(event: Event) -> dict[str, Any]:
    """As `events.to_json`, but shallow: its deep copies are a third of what recording costs."""
    kind = type(event)
    return {"event": kind.__name__, **{name: getattr(event, name) for name in _FIELDS[kind]}}


def _as_json(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else asdict(cast(Position, value))


#: Made once: making one takes as long as using it.
_dump = json.JSONEncoder(default=_as_json).encode


def _place(event: Event) -> str:
    position = getattr(event, "position", None)
    return str(position) if position else ""
