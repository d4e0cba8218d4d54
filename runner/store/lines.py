"""The lines of concurrency groups in the database: who stands where, and who waits for whom."""

from collections.abc import Iterable
from dataclasses import dataclass

from runner.plan import asker_of
from runner.store.connection import Connection, Database, Row, whole
from runner.store.rows import Group, Line, LineEdit, Place

_SELECT_LINE = """
SELECT id, run, job, shown, capacity FROM place WHERE project = :project AND name = :name ORDER BY id
"""
_JOIN = """
INSERT INTO place (project, name, shown, run, job, capacity)
VALUES (:project, :name, :shown, :run, :job, :capacity)
"""
_LEAVE = "DELETE FROM place WHERE id = :id"
_OF_RUN = "SELECT job, name FROM place WHERE run = :run"
_WAITS = """
SELECT place.run, place.job, place.shown AS "group", first.run AS holder, first.job AS holder_job,
       (SELECT count(*) FROM place AS other
        WHERE other.project = place.project AND other.name = place.name
          AND other.id > first.id AND other.id < place.id) AS before
FROM place JOIN place AS first ON first.id = (
    SELECT min(id) FROM place AS other
    WHERE other.project = place.project AND other.name = place.name)
WHERE first.id != place.id AND (CAST(:run AS INTEGER) IS NULL OR place.run = :run)
ORDER BY place.id
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Who waits for which group, and `before` it how many; a `job` that is "" is the run itself."""

    run: int
    job: str
    group: str
    holder: int
    holder_job: str
    before: int

    def __str__(self) -> str:
        job = f" (job `{self.holder_job}`)" if self.holder_job else ""
        before = f", {self.before} before it" if self.before else ""
        return f"waits for group `{self.group}`: held by run {self.holder}{job}{before}"


@whole
def read(connection: Connection, group: Group) -> Line:
    """Who stands in line for a group, the first of whom holds it."""
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
    with connection.reading() as database:
        return [_wait(row) for row in database.execute(_WAITS, {"run": run})]


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
    return tuple(Place(**dict(row)) for row in found)


def _wait(row: Row) -> Wait:
    askers = {name: asker_of(row[name]) for name in ("job", "holder_job")}
    return Wait(**{**dict(row), **askers})


def _row(place: Place) -> dict[str, int | str]:
    return {
        "shown": place.shown,
        "run": place.run,
        "job": place.job,
        "capacity": place.capacity,
    }
