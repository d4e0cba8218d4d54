"""Who did what to environments: lines that are only ever added, each sealed by the one before it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from runner.store.connection import Connection, Database, whole

_LAST = "SELECT * FROM audit ORDER BY seq DESC LIMIT 1"
_ALL = "SELECT * FROM audit ORDER BY seq"
_ADD = """
INSERT INTO audit (seq, time, who, action, subject, previous, hash)
VALUES (:seq, :time, :who, :action, :subject, :previous, :hash)
"""


@dataclass(frozen=True, slots=True)
class Line:
    """See `tables.AuditRow`; `subject` is JSON as it was sealed."""

    seq: int
    time: float
    who: str
    action: str
    subject: str
    previous: str
    hash: str

    @property
    def sealed(self) -> str:
        """What its hash has to be."""
        held = [self.seq, self.time, self.who, self.action, self.subject, self.previous]
        return sha256(json.dumps(held).encode()).hexdigest()


def add(database: Database, who: str, action: str, subject: Mapping[str, Any], now: float) -> None:
    """Add a line, inside the transaction that does what it tells; that has to be a writing one."""
    last = database.execute(_LAST).fetchone()
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, "")
    line = Line(seq, now, who, action, json.dumps(subject, sort_keys=True), previous, "")
    database.execute(_ADD, {**asdict(line), "hash": line.sealed})


@whole
def lines(connection: Connection) -> list[Line]:
    """All of them, the oldest first."""
    with connection.reading() as database:
        return [Line(**dict(row)) for row in database.execute(_ALL).fetchall()]


def broken(lines: list[Line]) -> Iterator[str]:
    """What shows that somebody changed, removed or inserted lines; nothing when all is as it was.

    Lines that were removed from the end do not show: compare with a hash that was noted elsewhere.
    """
    previous, expected = "", 1
    for line in lines:
        if line.seq != expected:
            yield f"line {expected} is missing"
        elif line.previous != previous:
            yield f"line {line.seq} does not follow the one before it"
        if line.hash != line.sealed:
            yield f"line {line.seq} was changed"
        previous, expected = line.hash, line.seq + 1
