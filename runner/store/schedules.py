"""Up to which moment the times of a schedule have been seen to, by whichever worker."""

from dataclasses import asdict, dataclass

from runner.store.connection import Connection, whole

_SELECT = """
SELECT handled_until FROM schedule
WHERE project = :project AND file = :file AND cron = :cron AND timezone = :timezone
"""
_HANDLED = """
INSERT INTO schedule (project, file, cron, timezone, handled_until)
VALUES (:project, :file, :cron, :timezone, :until)
ON CONFLICT (project, file, cron, timezone) DO UPDATE SET handled_until =
    CASE WHEN excluded.handled_until > schedule.handled_until
         THEN excluded.handled_until ELSE schedule.handled_until END
"""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One line of `on.schedule` of a pipeline file; `timezone` is "" for UTC."""

    project: str
    file: str
    cron: str
    timezone: str = ""


@whole
def handled_until(connection: Connection, schedule: Schedule) -> float | None:
    """In seconds since the epoch; None for one that nobody has seen yet."""
    with connection.reading() as database:
        row = database.execute(_SELECT, asdict(schedule)).fetchone()
    return row["handled_until"] if row else None


@whole
def handled(connection: Connection, schedule: Schedule, until: float) -> None:
    """All its times up to then have their runs, or shall have none."""
    with connection.writing() as database:
        database.execute(_HANDLED, {**asdict(schedule), "until": until})
