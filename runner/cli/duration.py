"""Durations and points in time on the command line."""

import time
from datetime import datetime, timedelta

import click


class DurationType(click.ParamType[float]):
    """`90s`, `5m`, `1h30m`, as in pipeline files; becomes seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Click's own shape."""
        from runner.errors import InvalidInputError
        from runner.parse.durations import parse_duration

        try:
            return parse_duration(str(value))
        except (InvalidInputError, ValueError):
            self.fail(f"`{value}` is no duration, such as 90s, 5m or 1h30m", param, ctx)


class MomentType(click.ParamType[float]):
    """A point in time as ISO 8601 has it, or a time of day that comes next; becomes seconds since
    the epoch. Without a zone it is that of this machine."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Click's own shape."""
        text = str(value)
        try:
            if "-" in text:
                return datetime.fromisoformat(text).astimezone().timestamp()
            return _next(datetime.strptime(text, "%H:%M"))  # noqa: DTZ007 - a time of day
        except ValueError:
            self.fail(f"`{text}` is no time, such as 2026-05-01T06:30 or 06:30", param, ctx)


def _next(wanted: datetime) -> float:
    # Without a zone, so that a day is as long as clocks make it.
    now = datetime.fromtimestamp(time.time())  # noqa: DTZ006
    today = now.replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    return (today if today > now else today + timedelta(days=1)).timestamp()


DURATION = DurationType()
MOMENT = MomentType()
