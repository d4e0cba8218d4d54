"""The lines of concurrency groups in the database: who stands where, and who waits for whom."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.plan import asker_of
from runner.store.connection import Connection, Database, Row, whole
from runner.store.rows import Group, Line, LineEdit, Place, holders

_SELECT_LINE = """
SELECT id, run, job, shown, capacity FROM place WHERE project = :project AND name = :name ORDER BY id
"""
_JOIN = """
INSERT INTO place (project, name, shown, run, job, capacity)
VALUES (:project, :name, :shown, :run, :job, :capacity)
"""
_LEAVE = "DELETE FROM place WHERE id = :id"
_OF_RUN = "SELECT job, name FROM place WHERE run = :run"
_LINES_OF_RUN = """
SELECT project, name, id, run, job, shown, capacity FROM place
WHERE (project, name) IN (SELECT project, name FROM place WHERE run = :run)
ORDER BY project, name, id
"""
_ALL_LINES = """
SELECT project, name, id, run, job, shown, capacity FROM place ORDER BY project, name, id
"""
#: Runs with nothing to do but to wait, of which one may have been overlooked as its turn came.
_IDLE = """
SELECT DISTINCT run.id FROM place JOIN run ON run.id = place.run
WHERE run.process = '' AND run.state = 'queued' AND place.job = '' AND NOT EXISTS (
    SELECT 1 FROM job WHERE job.run = run.id AND job.state IN ('queued', 'running', 'scheduled'))
ORDER BY run.id LIMIT 100
"""
#: Of those who hold a group, so many are told by name.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Wait:
    """Who waits for which group, who holds it, and `before` it how many wait.

    A `job` that is "" is the run itself.
    """

    run: int
    job: str
    group: str
    holders: Line
    before: int

    def __str__(self) -> str:
        before = f", {self.before} before it" if self.before else ""
        return f"waits for group `{self.group}`: held by {self._held_by()}{before}"

    def _held_by(self) -> str:
        named = list(map(str, self.holders[:_MOST_NAMED]))
        more = len(self.holders) - len(named)
        *first, last = [*named, f"{more} more"] if more else named
        return f"{', '.join(first)} and {last}" if first else last


@whole
def read(connection: Connection, group: Group) -> Line:
    """Who stands in line for a group, the first of whom hold it."""
    with connection.reading() as database:
        return _line(database, group)


@whole
def groups(connection: Connection, run: int) -> dict[str, str]:
    """The groups that a run and its jobs stand in line for, as `StoredRun.groups` has them."""
    with connection.reading() as database:
        return groups_of(database, run)


@whole
def waits(connection: Connection, run: int | None = None) -> list[Wait]:
    """Who of a run waits for a group, or else who of all runs, in the order in which they came."""
    sql, values = (_ALL_LINES, {}) if run is None else (_LINES_OF_RUN, {"run": run})
    with connection.reading() as database:
        rows = database.execute(sql, values).fetchall()
    found = [
        (place.id, wait)
        for _, line in itertools.groupby(rows, key=lambda row: (row["project"], row["name"]))
        for place, wait in _waits_in(tuple(map(_place, line)))
        if run in (None, place.run)
    ]
    return [wait for _, wait in sorted(found, key=lambda each: each[0])]


@whole
def idle_runs(connection: Connection) -> list[int]:
    """Submitted runs in lines of which nothing is about to happen, the first ones that came."""
    with connection.reading() as database:
        return [row["id"] for row in database.execute(_IDLE, {}).fetchall()]


# -- inside a transaction --


def groups_of(database: Database, run: int) -> dict[str, str]:
    """The groups that a run and its jobs stand in line for, as `StoredRun.groups` has them."""
    return {row["job"]: row["name"] for row in database.execute(_OF_RUN, {"run": run})}


def are_as_read(database: Database, edits: Iterable[LineEdit]) -> bool:
    """Whether nobody has come or gone since the lines were read."""
    return all(_line(database, edit.group) == edit.before for edit in edits)


def write(database: Database, edits: Iterable[LineEdit]) -> None:
    """Makes the lines what they shall be; whoever is new comes after all others."""
    for edit in edits:
        project, name = edit.group
        kept = {place.id for place in edit.after}
        gone = [{"id": place.id} for place in edit.before if place.id not in kept]
        new = [
            {"project": project, "name": name, **_row(place)}
            for place in edit.after
            if not place.id
        ]
        database.executemany(_LEAVE, gone)
        database.executemany(_JOIN, new)


def _line(database: Database, group: Group) -> Line:
    project, name = group
    found = database.execute(_SELECT_LINE, {"project": project, "name": name})
    return tuple(map(_place, found))


def _place(row: Row) -> Place:
    return Place(row["run"], row["job"], row["shown"], row["id"], row["capacity"])


def _waits_in(line: Line) -> Iterator[tuple[Place, Wait]]:
    holding = holders(line)
    for before, place in enumerate(line[len(holding) :]):
        yield place, Wait(place.run, asker_of(place.job), place.shown, holding, before)


def _row(place: Place) -> dict[str, int | str]:
    return {
        "shown": place.shown,
        "run": place.run,
        "job": place.job,
        "capacity": place.capacity,
    }
