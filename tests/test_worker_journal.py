"""The events of running jobs on their way to the store, which may be away."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from runner.errors import EnvironmentMissingError
from runner.events import Event, OutputWritten, SummaryWritten
from runner.worker import journal
from runner.worker.journal import Journal

pytestmark = pytest.mark.timeout(30)


@dataclass
class Shelf:
    """Takes what is written, each time apart; one text is a bug of ours."""

    batches: list[list[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    away: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def write(self, events: Sequence[Event]) -> None:
        if self.away:
            raise EnvironmentMissingError("the database is away")
        found = [str(getattr(event, "text", event)) for event in events]
        if "odd" in found:
            raise ValueError("it is odd")
        with self.changed:
            self.batches.append(found)
            self.changed.notify_all()

    def say(self, level: Any, message: str, **_: Any) -> None:
        self.said.append(message)

    def wait_for(self, batches: list[list[str]]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.batches == batches, 10), self.batches


def event(text: str, job: str = "one") -> Event:
    return SummaryWritten(run=1, time=1.0, job=job, step=1, text=text)


@contextmanager
def opened(shelf: Shelf) -> Iterator[Journal]:
    book = Journal(shelf.write, shelf)
    yield book
    book.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written by itself."""
    monkeypatch.setattr(journal, "GATHERING", 1000.0)


def test_events_of_one_moment_are_written_together_and_soon() -> None:
    shelf = Shelf()
    with opened(shelf) as book:
        book.add(event("a"))
        book.add(event("b", job="other"))
        shelf.wait_for([["a", "b"]])
        book.add(event("c"))
        shelf.wait_for([["a", "b"], ["c"]])
    assert shelf.batches == [["a", "b"], ["c"]]


@pytest.mark.usefixtures("patient")
def test_progress_is_not_kept() -> None:
    shelf = Shelf()
    with opened(shelf) as book:
        book.add(OutputWritten(run=1, time=1.0, job="one", step=1, offset=0, length=1))
        book.add(event("a"))
    assert shelf.batches == [["a"]]


@pytest.mark.usefixtures("patient")
def test_a_job_that_ends_takes_its_events_along() -> None:
    shelf = Shelf()
    with opened(shelf) as book:
        for text, job in (("a", "one"), ("b", "other"), ("c", "one")):
            book.add(event(text, job))
        with book.taken(1, "one") as taken:
            assert taken == [event("a"), event("c")]
    assert shelf.batches == [["b"]]


@pytest.mark.usefixtures("patient")
def test_what_was_not_recorded_with_the_end_is_written_before_what_came_later() -> None:
    shelf = Shelf()
    with opened(shelf) as book:
        book.add(event("a"))
        with suppress(KeyError), book.taken(1, "one"):
            book.add(event("b"))
            raise KeyError
        book.flush()
        assert shelf.batches == [["a", "b"]]


def test_events_wait_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 0.01)
    shelf = Shelf(away=True)
    with opened(shelf) as book:
        book.add(event("a"))
        with pytest.raises(EnvironmentMissingError):
            book.flush()
        book.add(event("b"))
        shelf.away = False
        shelf.wait_for([["a", "b"]])


@pytest.mark.usefixtures("patient")
def test_not_everything_waits_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST", 2)
    shelf = Shelf(away=True)
    with opened(shelf) as book:
        book.add(event("a"))
        book.add(event("b"))
        with pytest.raises(EnvironmentMissingError):
            book.add(event("c"))
        shelf.away = False
    assert shelf.batches == [["a", "b", "c"]]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("texts", [("odd",), ("a", "odd", "b")])
def test_an_event_that_cannot_be_written_takes_none_along(texts: Sequence[str]) -> None:
    shelf = Shelf()
    with opened(shelf) as book:
        for text in texts:
            book.add(event(text))
    assert shelf.batches == [[text] for text in texts if text != "odd"]
    assert shelf.said == ["internal error: an event was lost: ValueError: it is odd"]
