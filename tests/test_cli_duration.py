"""Points in time on the command line."""

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from runner.cli.duration import MOMENT

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("now", "then"),
    [
        (datetime(2026, 5, 1, 6, 0, tzinfo=BERLIN), datetime(2026, 5, 1, 6, 30, tzinfo=BERLIN)),
        (datetime(2026, 5, 1, 6, 30, tzinfo=BERLIN), datetime(2026, 5, 2, 6, 30, tzinfo=BERLIN)),
        # Clocks go forward, and back, in the night.
        (datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN), datetime(2026, 3, 29, 6, 30, tzinfo=BERLIN)),
        (
            datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN),
            datetime(2026, 10, 25, 6, 30, tzinfo=BERLIN),
        ),
    ],
)
def test_a_time_of_day_is_the_next_one(
    now: datetime, then: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", now.timestamp)
    assert MOMENT.convert("06:30", None, None) == then.timestamp()
