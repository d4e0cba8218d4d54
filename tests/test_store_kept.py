"""Snapshots, notices and the audit in the store, on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.store import Store, audit, kept, outbox
from runner.store.kept import SnapshotRecord
from runner.store.outbox import Letter


@pytest.fixture
def store(pipe_home: Path, database_url: str) -> Iterator[Store]:
    with Store.open(pipe_home, database_url) as store:
        yield store


def test_snapshots(store: Store) -> None:
    record = SnapshotRecord(
        "20260101-1", "shop", "test", None, 0, "manual", "why", "making", "host", 1.0, "ann"
    )
    kept.add(store.promises, record)
    kept.is_kept(store.promises, record.id, 5)
    [found] = kept.snapshots(store.promises, "shop")
    assert (found.state, found.size, found.release) == ("kept", 5, None)
    kept.note_restored(store.promises, found, "bo", {"parts": []}, 2.0)
    kept.forget(store.promises, record.id)
    assert kept.snapshot(store.promises, record.id) is None
    assert kept.snapshots(store.promises, None, "other") == []


def test_notices(store: Store) -> None:
    with store.promises.writing() as database:
        letters = [Letter("a", 1, "chat", {"url": "x"}, "failed", "text", {"n": 1}, 10.0)]
        outbox.post(database, [*letters, *letters])
    [letter] = outbox.waiting(store.promises)
    assert outbox.take(store.promises, letter, 20.0)
    assert not outbox.take(store.promises, letter, 20.0)
    outbox.not_sent(store.promises, letter, "away", 30.0)
    [letter] = outbox.waiting(store.promises)
    assert (letter.due_at, letter.attempts, letter.error) == (30.0, 1, "away")
    outbox.not_sent(store.promises, letter, "away", 11.0 + outbox.LIFE)
    assert outbox.letters_of(store.promises, 1)[0].is_given_up()
    outbox.sent(store.promises, letter, 40.0)
    assert not outbox.letters_of(store.promises, 1)[0].is_given_up()
    assert outbox.waiting(store.promises) == []


def test_audit(store: Store) -> None:
    with store.promises.writing() as database:
        for number in range(3):
            audit.add(database, "ann", "did", {"number": number}, 1.1 + number)
    lines = audit.lines(store.promises)
    assert [line.seq for line in lines] == [1, 2, 3]
    assert list(audit.broken(lines)) == []
