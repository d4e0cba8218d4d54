"""Runs that are old enough to be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.store.connection import Connection, whole

_FINISHED = """
SELECT id FROM run WHERE state = 'finished' AND finished_at < :before
  AND id NOT IN (SELECT id FROM run WHERE state = 'finished' ORDER BY id DESC LIMIT :keep)
  AND NOT EXISTS (SELECT 1 FROM dead_letter
                  WHERE dead_letter.run = run.id AND dead_letter.requeued_as IS NULL)
ORDER BY id
"""
_ALL = "SELECT id FROM run"
_REMOVE_REUSABLE = "DELETE FROM reusable WHERE run = :run"
_REMOVE = "DELETE FROM run WHERE id = :run AND state = 'finished'"
_SNAPSHOTS = """
SELECT submission.snapshot FROM submission JOIN run ON run.id = submission.run
WHERE run.state != 'finished' OR EXISTS (
    SELECT 1 FROM dead_letter WHERE dead_letter.run = run.id AND dead_letter.requeued_as IS NULL)
"""


@dataclass(frozen=True, slots=True)
class Age:
    """What is forgotten: runs that ended before then (seconds since the epoch), but for the newest."""

    before: float
    keep: int


@whole
def old_runs(connection: Connection, age: Age) -> list[int]:
    """The runs that may go. A dead letter that nobody has seen to keeps its run."""
    values = {"before": age.before, "keep": age.keep}
    with connection.reading() as database:
        return [row["id"] for row in database.execute(_FINISHED, values).fetchall()]


@whole
def run_numbers(connection: Connection) -> set[int]:
    """Every run that there is."""
    with connection.reading() as database:
        return {row["id"] for row in database.execute(_ALL).fetchall()}


@whole
def offer_no_more(connection: Connection, runs: Sequence[int]) -> None:
    """What these runs did is reused by no run from now on, so that its files may go."""
    with connection.writing() as database:
        database.executemany(_REMOVE_REUSABLE, [{"run": run} for run in runs])


@whole
def remove(connection: Connection, runs: Sequence[int]) -> None:
    """Forgets these runs, with all that belongs to them; their numbers are never used again."""
    with connection.writing() as database:
        database.executemany(_REMOVE, [{"run": run} for run in runs])


@whole
def needed_snapshots(connection: Connection) -> list[str]:
    """The copies of the source, as JSON, that runs need which go on or may go on."""
    with connection.reading() as database:
        return [row["snapshot"] for row in database.execute(_SNAPSHOTS).fetchall()]
