"""What people are to be told: written with what it tells of, and kept until it was sent."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runner.store.connection import Connection, Database, Row, whole

#: Seconds after which a notice is of no use any more.
LIFE = 24 * 3600.0
#: Seconds that one attempt may take; others leave the notice alone for as long.
ATTEMPT = 60.0

_POST = """
INSERT INTO outbox (id, deployment, notifier, settings, kind, text, data, created_at, due_at,
                    attempts, error, sent_at)
VALUES (:id, :deployment, :notifier, :settings, :kind, :text, :data, :created_at, :created_at,
        0, '', NULL) ON CONFLICT (id) DO NOTHING
"""
_DUE = "SELECT * FROM outbox WHERE due_at IS NOT NULL ORDER BY due_at, id"
_TAKE = "UPDATE outbox SET due_at = :until WHERE id = :id AND due_at = :due_at"
_SENT = "UPDATE outbox SET sent_at = :now, due_at = NULL, error = '' WHERE id = :id"
_FAILED = """
UPDATE outbox SET due_at = :due_at, attempts = :attempts, error = :error WHERE id = :id
"""
_OF = "SELECT * FROM outbox WHERE deployment = :deployment ORDER BY created_at, id"


@dataclass(frozen=True, slots=True)
class Letter:
    """Something to tell; the settings hold secrets by name. `id` is unique, and tells it apart."""

    id: str
    deployment: int
    notifier: str
    settings: Mapping[str, Any]
    kind: str
    text: str
    data: Mapping[str, Any]
    created_at: float


@dataclass(frozen=True, slots=True)
class Posted(Letter):
    """A letter in the outbox. It waits as long as it is `due_at`; `error` is of its last attempt."""

    due_at: float | None
    attempts: int
    error: str
    sent_at: float | None

    def is_given_up(self) -> bool:
        return self.due_at is None and self.sent_at is None


def post(database: Database, letters: Iterable[Letter]) -> None:
    """Put them into the outbox, inside the transaction that does what they tell."""
    for letter in letters:
        texts = {"settings": json.dumps(letter.settings), "data": json.dumps(letter.data)}
        database.execute(_POST, {**asdict(letter), **texts})


@whole
def waiting(connection: Connection) -> list[Posted]:
    """Those that were neither sent nor given up, the next one first."""
    with connection.reading() as database:
        return [_posted(row) for row in database.execute(_DUE).fetchall()]


@whole
def take(connection: Connection, letter: Posted, now: float) -> bool:
    """Try it now, and keep others from it meanwhile; False when somebody else was first."""
    with connection.writing() as database:
        values = {"id": letter.id, "due_at": letter.due_at, "until": now + ATTEMPT}
        return database.execute(_TAKE, values).rowcount > 0


@whole
def sent(connection: Connection, letter: Posted, now: float) -> None:
    """It arrived."""
    with connection.writing() as database:
        database.execute(_SENT, {"id": letter.id, "now": now})


@whole
def not_sent(connection: Connection, letter: Posted, error: str, due_at: float) -> None:
    """It did not arrive. It is tried again, unless it would be too old then."""
    next_ = None if due_at > letter.created_at + LIFE else due_at
    values = {"id": letter.id, "due_at": next_, "attempts": letter.attempts + 1, "error": error}
    with connection.writing() as database:
        database.execute(_FAILED, values)


@whole
def letters_of(connection: Connection, deployment: int) -> list[Posted]:
    """All that was to be told of a deployment."""
    with connection.reading() as database:
        rows = database.execute(_OF, {"deployment": deployment}).fetchall()
    return [_posted(row) for row in rows]


def _posted(row: Row) -> Posted:
    texts = {name: json.loads(row[name]) for name in ("settings", "data")}
    return Posted(**{**dict(row), **texts})
