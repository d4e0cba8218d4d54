"""How many submitted runs may be running at once, and start in a day: by what, and who waits for it.

A run counts from its first lease to its end. One that may not start is put aside: its jobs are
`blocked` and `held` by a scope, until that has room again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from runner.errors import RefusedError
from runner.store.connection import Connection, Database, Row, whole

Kind = Literal["global", "project", "pipeline", "queue", "owner"]
#: What a run counts in: the name by kind.
Scopes = Mapping[str, str]

_COLUMNS = "kind, name, maximum, per_day, refuses, paused, running, day, started"
#: Not as a list of pairs: SQLite would make a table of that first.
_OF_RUN = f"""
SELECT {_COLUMNS} FROM scope
WHERE kind = 'global' AND name = :global OR kind = 'project' AND name = :project
   OR kind = 'pipeline' AND name = :pipeline OR kind = 'queue' AND name = :queue
   OR kind = 'owner' AND name = :owner
ORDER BY kind, name
"""
_ONE = f"SELECT {_COLUMNS} FROM scope WHERE kind = :kind AND name = :name"
_REFUSING = (
    f"SELECT {_COLUMNS} FROM scope WHERE refuses AND per_day IS NOT NULL ORDER BY kind, name"
)
_ALL = f"SELECT {_COLUMNS} FROM scope ORDER BY kind, name"
_COUNT_START = """
UPDATE scope SET running = running + 1, day = :day,
                 started = CASE WHEN day = :day THEN started + 1 ELSE 1 END
WHERE kind = :kind AND name = :name
"""
_COUNT_END = "UPDATE scope SET running = running - 1 WHERE kind = :kind AND name = :name"
_PUT_ASIDE = """
UPDATE job SET state = 'blocked', held = :held WHERE run = :run AND state = 'queued'
"""
_TOUCH = "UPDATE run SET version = version + 1 WHERE id = :run"
_IS_HELD = "SELECT EXISTS (SELECT 1 FROM job WHERE held = :held AND held != '') AS found"
#: Each owner costs one look, however many of their jobs wait.
_HELD_OWNERS = """
WITH RECURSIVE waiting (owner) AS (
    SELECT min(owner) FROM job WHERE held = :held AND held != ''
    UNION ALL
    SELECT (SELECT min(owner) FROM job
            WHERE held = :held AND held != '' AND job.owner > waiting.owner)
    FROM waiting WHERE waiting.owner IS NOT NULL)
SELECT owner FROM waiting WHERE owner IS NOT NULL
"""
_HELD_RUNS = """
SELECT DISTINCT rank, run FROM job WHERE held = :held AND held != '' AND owner = :owner
ORDER BY rank, run LIMIT :room
"""
_ALL_HELD_RUNS = "SELECT DISTINCT run FROM job WHERE held = :held AND held != ''"
#: A job that is held in front of its environment was never queued, so it has no pool yet.
_TAKE_BACK = """
UPDATE job SET state = 'queued', held = '' WHERE run = :run AND held != '' AND pool != ''
"""
_SET = """
INSERT INTO scope (kind, name, maximum, per_day, refuses, paused, running, day, started)
VALUES (:kind, :name, :maximum, :per_day, :refuses, :paused, :running, :day, :started)
ON CONFLICT (kind, name) DO UPDATE SET
    maximum = excluded.maximum, per_day = excluded.per_day, refuses = excluded.refuses,
    paused = excluded.paused, running = excluded.running, day = excluded.day,
    started = excluded.started
"""
_REMOVE = "DELETE FROM scope WHERE kind = :kind AND name = :name"
_IN_SCOPE = """
process = '' AND (:kind = 'global' OR (:kind = 'project' AND project = :name)
    OR (:kind = 'pipeline' AND project || '/' || file = :name)
    OR (:kind = 'queue' AND queue = :name) OR (:kind = 'owner' AND owner = :name))
"""
_RUNNING_NOW = f"SELECT count(*) AS found FROM run WHERE state = 'running' AND {_IN_SCOPE}"
#: Of a run of which nothing ran, no job was ever leased.
_STARTED_SINCE = f"""
SELECT count(*) AS found FROM run
WHERE started_at >= :midnight AND {_IN_SCOPE}
  AND EXISTS (SELECT 1 FROM attempt WHERE attempt.run = run.id)
"""
_WAITING_NOW = f"""
SELECT count(*) AS found FROM run
WHERE state = 'queued' AND (due_at IS NULL OR due_at < :midnight) AND {_IN_SCOPE}
"""
_DAY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Scope:
    """What limits apply to, its limits (None: none), and what counts.

    `refuses`: who has had all of `per_day` is refused at once, instead of waiting for tomorrow.
    """

    kind: Kind
    name: str
    maximum: int | None = None
    per_day: int | None = None
    refuses: bool = False
    paused: bool = False
    running: int = 0
    day: str = ""
    started: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "global" else f"{self.kind}:{self.name}"

    def started_on(self, day: str) -> int:
        """How many runs started that day (YYYY-MM-DD)."""
        return self.started if self.day == day else 0

    def room(self, day: str) -> int | None:
        """How many more runs may start now; None: any number."""
        if self.paused:
            return 0
        left = []
        if self.maximum is not None:
            left.append(self.maximum - self.running)
        if self.per_day is not None:
            left.append(self.per_day - self.started_on(day))
        return max(0, min(left)) if left else None


def scopes_of(project: str, file: str, queue: str, owner: str) -> Scopes:
    """All that a run with these counts in."""
    return {
        "global": "",
        "project": project,
        "pipeline": f"{project}/{file}",
        "queue": queue,
        "owner": owner,
    }


def day_of(now: float) -> str:
    """The day in UTC, as YYYY-MM-DD."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


@whole
def all_scopes(connection: Connection) -> list[Scope]:
    """Everything that has a limit or is paused."""
    with connection.reading() as database:
        return [_scope(row) for row in database.execute(_ALL).fetchall()]


@whole
def change(connection: Connection, scope: Scope, now: float) -> None:
    """Sets limits anew, counting what runs; one without any is forgotten. Frees who may start."""
    adjust(connection, (scope.kind, scope.name), lambda _: scope, now)


@whole
def adjust(
    connection: Connection, which: tuple[Kind, str], act: Callable[[Scope], Scope], now: float
) -> Scope:
    """As `change`, to what `act` makes of the limits as they are; returns these."""
    with connection.writing() as database:
        kind, name = which
        row = database.execute(_ONE, {"kind": kind, "name": name}).fetchone()
        scope = act(_scope(row) if row else Scope(kind, name))
        counted = _counted(database, scope, now)
        has_limits = scope.paused or scope.maximum is not None or scope.per_day is not None
        database.execute(_SET if has_limits else _REMOVE, _row(counted))
        _free(database, counted, day_of(now))
    return counted


@whole
def miscounted(connection: Connection, now: float) -> list[tuple[Scope, int]]:
    """What `reconcile` would find to be wrong, and by how much."""
    with connection.reading() as database:
        scopes = [_scope(row) for row in database.execute(_ALL).fetchall()]
        counted = [_counted(database, scope, now) for scope in scopes]
    pairs = zip(scopes, counted, strict=True)
    return [
        (scope, scope.running - right.running)
        for scope, right in pairs
        if scope.running != right.running
    ]


@whole
def reconcile(connection: Connection, now: float) -> list[tuple[Scope, int]]:
    """Counts everything anew and frees who may start; returns what was wrong, and by how much."""
    wrong = []
    with connection.writing() as database:
        for row in database.execute(_ALL).fetchall():
            scope = _scope(row)
            counted = _counted(database, scope, now)
            if counted.running != scope.running:
                wrong.append((scope, scope.running - counted.running))
            if counted != scope:
                database.execute(_SET, _row(counted))
            _free(database, counted, day_of(now))
    return wrong


# -- inside a transaction --


def obstacle(database: Database, scopes: Scopes, now: float) -> str:
    """The limit that keeps a run from starting now; if there is none, "": it counts from now on."""
    limited = _read(database, scopes)
    if not limited:
        return ""
    day = day_of(now)
    full = [scope for scope in limited if scope.room(day) == 0]
    if full:
        return str(full[0])
    for scope in limited:
        database.execute(_COUNT_START, {"kind": scope.kind, "name": scope.name, "day": day})
    return ""


def refuse(database: Database, coming: Sequence[tuple[Scopes, float | None]], now: float) -> None:
    """Raises RefusedError if runs that come now are more than may start in this day, where such are
    refused; those that wait count as well. Of each it takes what it counts in, and when it is due."""
    refusing = database.execute(_REFUSING).fetchall()
    if not refusing:
        return
    tomorrow = _midnight(now) + _DAY_SECONDS
    today = [scopes for scopes, due_at in coming if due_at is None or due_at < tomorrow]
    for scope in map(_scope, refusing):
        count = sum(scopes[scope.kind] == scope.name for scopes in today)
        if count:
            _refuse(database, scope, count, now)


def _refuse(database: Database, scope: Scope, coming: int, now: float) -> None:
    tomorrow = _midnight(now) + _DAY_SECONDS
    values = {"kind": scope.kind, "name": scope.name, "midnight": tomorrow}
    waiting = database.execute(_WAITING_NOW, values).fetchone()["found"]
    started, most = scope.started_on(day_of(now)), scope.per_day or 0
    if started + waiting + coming > most:
        also = f", {coming} come" if coming > 1 else ""
        raise RefusedError(
            f"{scope} has had its {most} runs of today: {started} started, {waiting} wait{also}",
            hint=f"submit it after midnight (UTC), or raise the limit: `pipe queue limit {scope}`",
        )


def count_end(database: Database, scopes: Scopes, now: float, *, has_run: bool) -> None:
    """A run has ended: who waits for that may start; if it had not, in the place kept for it."""
    limited = _read(database, scopes)
    for scope in limited if has_run else ():
        database.execute(_COUNT_END, {"kind": scope.kind, "name": scope.name})
    for scope in limited:
        _free(database, replace(scope, running=scope.running - has_run), day_of(now))


def put_aside(database: Database, run: int, held: str, scopes: Scopes, now: float) -> None:
    """The run waits for a limit; what it does not take elsewhere, others may have."""
    database.execute(_PUT_ASIDE, {"run": run, "held": held})
    database.execute(_TOUCH, {"run": run})
    for scope in _read(database, scopes):
        if str(scope) != held:
            _free(database, scope, day_of(now))


def _free(database: Database, scope: Scope, day: str) -> None:
    """Puts as many of each owner back into the queue as there is room for.

    That may be more than can start: whose turn it is, is decided when they are leased, and who
    comes too late is put aside again.
    """
    room = scope.room(day)
    held = {"held": str(scope)}
    if room == 0 or not database.execute(_IS_HELD, held).fetchone()["found"]:
        return
    for run in list(_held_runs(database, str(scope), room)):
        database.execute(_TAKE_BACK, {"run": run})
        database.execute(_TOUCH, {"run": run})


def _held_runs(database: Database, held: str, room: int | None) -> Iterator[int]:
    if room is None:
        yield from (row["run"] for row in database.execute(_ALL_HELD_RUNS, {"held": held}))
        return
    for owner in database.execute(_HELD_OWNERS, {"held": held}).fetchall():
        values = {"held": held, "owner": owner["owner"], "room": room}
        yield from (row["run"] for row in database.execute(_HELD_RUNS, values).fetchall())


def _read(database: Database, scopes: Scopes) -> list[Scope]:
    """Those of them that have limits."""
    return [_scope(row) for row in database.execute(_OF_RUN, scopes).fetchall()]


def _counted(database: Database, scope: Scope, now: float) -> Scope:
    day = day_of(now)
    values = {"kind": scope.kind, "name": scope.name, "midnight": _midnight(now)}
    running = database.execute(_RUNNING_NOW, values).fetchone()["found"]
    started = scope.started_on(day)
    if scope.per_day is not None:
        # That looks at all runs there are.
        started = database.execute(_STARTED_SINCE, values).fetchone()["found"]
    return replace(scope, running=running, day=day, started=started)


def _midnight(now: float) -> float:
    """When the day (UTC) began."""
    return (
        datetime.fromtimestamp(now, UTC)
        .replace(hour=0, minute=0, second=0, microsecond=0)
        .timestamp()
    )


def _scope(row: Row) -> Scope:
    values: dict[str, Any] = dict(row)
    return Scope(**{**values, "refuses": bool(row["refuses"]), "paused": bool(row["paused"])})


def _row(scope: Scope) -> dict[str, Any]:
    return {name: getattr(scope, name) for name in _COLUMNS.split(", ")}
