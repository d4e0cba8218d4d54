"""The times that a cron line means: five fields, as Debian's cron reads them, in any time zone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runner.errors import PipeError

FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
#: Any moment will do where only the syntax is of interest.
_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class BadFieldError(PipeError):
    """A field that says nothing; `name` is one of FIELDS."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the {name} of a cron line is not valid")
        self.name = name


def check(line: str) -> None:
    """Raises BadFieldError for the first bad one of the line's five fields."""
    from cronsim import CronSim, CronSimError

    try:
        CronSim(line, _SOME_TIME)
    except CronSimError as error:
        raise BadFieldError(str(error).removeprefix("Bad ")) from error


def is_zone(name: str) -> bool:
    """Whether the machine knows a time zone of that name, such as `Europe/Berlin`."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def times(line: str, zone: str, after: float) -> Iterator[float]:
    """When the line fires after `after`, in seconds since the epoch; `zone` is "" for UTC.

    When clocks go forward, a time of day that does not exist fires right after the gap; when they
    go back, one that exists twice fires once.
    """
    from cronsim import CronSim

    start = datetime.fromtimestamp(after, ZoneInfo(zone) if zone else UTC)
    for moment in CronSim(line, start):
        yield moment.timestamp()
