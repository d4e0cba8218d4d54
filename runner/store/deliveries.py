"""Releases, deployments and their journals; and whose turn it is to change what is live.

An application in an environment has one holder at a time, with a token that grows. Everything that
the holder writes is refused once the token is another's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from runner.errors import PipeError
from runner.store import approvals, audit
from runner.store.connection import Connection, Database, Row, whole
from runner.store.outbox import Letter, post
from runner.store.process import is_alive
from runner.store.rows import Approval

#: Seconds that a holder has until others may take over, unless it renews.
LEASE = 60.0
#: Seconds after which one that waits, but is not seen any more, has lost its turn.
FORGOTTEN = 60.0

_RELEASE = """
SELECT * FROM release
WHERE application = :application AND environment = :environment AND number = :number
"""
_RELEASES = """
SELECT * FROM release
WHERE application = :application AND environment = :environment ORDER BY number
"""
_LAST_NUMBER = """
SELECT COALESCE(MAX(number), 0) AS number FROM release
WHERE application = :application AND environment = :environment
"""
_INSERT_RELEASE = """
INSERT INTO release (application, environment, number, version, digest, commit_sha, definition,
                     settings, state, created_at, created_by)
VALUES (:application, :environment, :number, :version, :digest, :commit_sha, :definition,
        :settings, :state, :created_at, :created_by)
"""
_JUDGE = """
UPDATE release SET state = :state
WHERE application = :application AND environment = :environment AND number = :number
"""
_INSERT_DEPLOYMENT = """
INSERT INTO deployment (application, environment, release, previous, kind, cause, key, run, job,
                        step, owner, why, state, reason, message, course, created_at, deadline)
VALUES (:application, :environment, :release, :previous, :kind, :cause, :key, :run, :job,
        :step, :owner, :why, :state, '', '', '', :created_at, :deadline)
"""
_DEPLOYMENT = "SELECT * FROM deployment WHERE id = :id"
_BY_KEY = "SELECT * FROM deployment WHERE key = :key"
_DEPLOYMENTS = """
SELECT * FROM deployment
WHERE (CAST(:application AS TEXT) IS NULL OR application = :application)
  AND (CAST(:environment AS TEXT) IS NULL OR environment = :environment)
  AND (CAST(:run AS INTEGER) IS NULL OR run = :run)
  AND (NOT :open OR finished_at IS NULL)
ORDER BY id
"""
_WHOSE = "SELECT owner, kind, release FROM deployment WHERE id = :id"
_PLAN = "UPDATE deployment SET course = :course, previous = :previous WHERE id = :id"
_STATE = "UPDATE deployment SET state = :state WHERE id = :id"
_END = """
UPDATE deployment SET state = :state, reason = :reason, message = :message, finished_at = :now
WHERE id = :id
"""
_LIVE = "SELECT * FROM live WHERE application = :application AND environment = :environment"
_ALL_LIVE = "SELECT * FROM live ORDER BY application, environment"
_KNOW = """
INSERT INTO live (application, environment, token, process, expires_at)
VALUES (:application, :environment, 0, '', 0) ON CONFLICT (application, environment) DO NOTHING
"""
_TAKE = """
UPDATE live SET holder = :holder, process = :process, expires_at = :until, token = token + 1
WHERE application = :application AND environment = :environment
"""
_RENEW = """
UPDATE live SET expires_at = :until
WHERE application = :application AND environment = :environment AND token = :token
"""
_LET_GO = """
UPDATE live SET holder = NULL, process = '', expires_at = 0
WHERE application = :application AND environment = :environment AND token = :token
"""
_PASS_ON = """
UPDATE live SET holder = :holder, expires_at = :until
WHERE application = :application AND environment = :environment AND token = :token
"""
_GO_LIVE = """
UPDATE live SET release = :release
WHERE application = :application AND environment = :environment
"""
_WRITE = """
INSERT INTO journal (deployment, move, kind, data, time)
VALUES (:deployment, :move, :kind, :data, :time)
"""
_JOURNAL = "SELECT * FROM journal WHERE deployment = :deployment ORDER BY seq"
_STAND = """
INSERT INTO delivery_turn (application, environment, deployment, process, seen_at)
VALUES (:application, :environment, :deployment, :process, :now)
"""
_SEEN = "UPDATE delivery_turn SET seen_at = :now WHERE deployment = :deployment"
_LINE = """
SELECT * FROM delivery_turn
WHERE application = :application AND environment = :environment ORDER BY id
"""
_LEAVE = "DELETE FROM delivery_turn WHERE deployment = :deployment"
_LOCK = """
INSERT INTO environment_lock (environment, owner, message, locked_at)
VALUES (:environment, :owner, :message, :now)
ON CONFLICT (environment) DO UPDATE SET
    owner = excluded.owner, message = excluded.message, locked_at = excluded.locked_at
"""
_UNLOCK = "DELETE FROM environment_lock WHERE environment = :environment"
_LOCKS = "SELECT * FROM environment_lock ORDER BY environment"


class OutdatedError(PipeError):
    """Somebody else has taken over what this process was about to change."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is deployed, and where."""

    application: str
    environment: str

    def __str__(self) -> str:
        return f"{self.application} in {self.environment}"


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """See `tables.ReleaseRow`."""

    application: str
    environment: str
    number: int
    version: str
    digest: str
    commit_sha: str
    definition: Mapping[str, Any]
    settings: Mapping[str, Any]
    state: str
    created_at: float
    created_by: str


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """See `tables.DeploymentRow`; `course` is empty until it is decided."""

    id: int
    application: str
    environment: str
    release: int
    previous: int | None
    kind: str
    cause: int | None
    key: str
    run: int
    job: str
    step: str
    owner: str
    why: str
    state: str
    reason: str
    message: str
    course: Mapping[str, Any]
    created_at: float
    deadline: float
    finished_at: float | None

    @property
    def subject(self) -> Subject:
        return Subject(self.application, self.environment)


@dataclass(frozen=True, slots=True)
class Opening:
    """A deployment that is about to be recorded."""

    subject: Subject
    release: int
    kind: str
    key: str
    run: int
    job: str
    step: str
    owner: str
    why: str
    deadline: float
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal; `kind` is intent, outcome, failure or a word of the deployment's own."""

    seq: int
    move: int
    kind: str
    data: Mapping[str, Any]
    time: float


@dataclass(frozen=True, slots=True)
class Live:
    """What is live, and who holds the right to change it."""

    subject: Subject
    release: int | None
    token: int
    holder: int | None
    process: str
    expires_at: float

    def is_held(self, now: float) -> bool:
        """Whether the holder still has it: it lives, and has not been silent for too long."""
        return self.holder is not None and self.expires_at > now and is_alive(self.process)


@dataclass(frozen=True, slots=True)
class EnvironmentLock:
    """Who keeps deployments away from an environment, and why."""

    environment: str
    owner: str
    message: str
    locked_at: float


# -- releases --


@whole
def add_release(connection: Connection, record: ReleaseRecord) -> ReleaseRecord:
    """Record a release under the next number; one that is the same as the last keeps its number."""
    with connection.writing() as database:
        values = {"application": record.application, "environment": record.environment}
        number = database.execute(_LAST_NUMBER, values).fetchone()["number"]
        last = database.execute(_RELEASE, {**values, "number": number}).fetchone()
        if last and last["digest"] == record.digest and last["state"] in ("candidate", "good"):
            return _release(last)
        row = {
            **asdict(record),
            "number": number + 1,
            "definition": json.dumps(record.definition),
            "settings": json.dumps(record.settings),
        }
        database.execute(_INSERT_RELEASE, row)
        return _release(row)


@whole
def release(connection: Connection, subject: Subject, number: int) -> ReleaseRecord | None:
    """One release; None when there is none of that number."""
    with connection.reading() as database:
        row = database.execute(_RELEASE, {**asdict(subject), "number": number}).fetchone()
    return _release(row) if row else None


@whole
def releases(connection: Connection, subject: Subject) -> list[ReleaseRecord]:
    """All releases, in the order of their numbers."""
    with connection.reading() as database:
        rows = database.execute(_RELEASES, asdict(subject)).fetchall()
    return [_release(row) for row in rows]


@whole
def judge(connection: Connection, subject: Subject, number: int, state: str) -> None:
    """A release turned out good or bad, or was pruned."""
    with connection.writing() as database:
        database.execute(_JUDGE, {**asdict(subject), "number": number, "state": state})


# -- deployments --


def _nobody(_: DeploymentRecord) -> Iterable[Letter]:
    return ()


@whole
def open_deployment(
    connection: Connection,
    opening: Opening,
    now: float,
    waits: str = "",
    tell: Callable[[DeploymentRecord], Iterable[Letter]] = _nobody,
) -> DeploymentRecord:
    """Record a deployment; the same key gives the same one.

    It stands at the end of the line for the process that `waits`, if one does, and people are told
    what `tell` says of it.
    """
    with connection.writing() as database:
        row = database.execute(_BY_KEY, {"key": opening.key}).fetchone()
        if row:
            return _deployment(row)
        values = {**asdict(opening), **asdict(opening.subject), "created_at": now}
        values.pop("subject")
        live = database.execute(_LIVE, asdict(opening.subject)).fetchone()
        values |= {"state": "waiting", "previous": live["release"] if live else None}
        database.execute(_INSERT_DEPLOYMENT, values)
        made = _deployment(database.execute(_BY_KEY, {"key": opening.key}).fetchone())
        if waits:
            _stand(database, opening.subject, made.id, waits, now)
        about = {**asdict(made.subject), "deployment": made.id, "release": made.release}
        about |= {"why": made.why, "cause": made.cause}
        audit.add(database, made.owner, f"{made.kind}-started", about, now)
        post(database, tell(made))
        return made


@whole
def deployment_of(connection: Connection, key: str) -> DeploymentRecord | None:
    """The deployment of that key; None when there is none."""
    with connection.reading() as database:
        row = database.execute(_BY_KEY, {"key": key}).fetchone()
    return _deployment(row) if row else None


@whole
def waiting(connection: Connection, subject: Subject) -> set[int]:
    """The deployments that stand in line, and whose process lives."""
    with connection.reading() as database:
        rows = database.execute(_LINE, asdict(subject)).fetchall()
    return {row["deployment"] for row in rows if is_alive(row["process"])}


@whole
def deployment(connection: Connection, id_: int) -> DeploymentRecord | None:
    """One deployment; None when there is none of that number."""
    with connection.reading() as database:
        row = database.execute(_DEPLOYMENT, {"id": id_}).fetchone()
    return _deployment(row) if row else None


@whole
def deployments(
    connection: Connection,
    application: str | None = None,
    environment: str | None = None,
    run: int | None = None,
    *,
    only_open: bool = False,
) -> list[DeploymentRecord]:
    """Those that match all that is given, in the order in which they were recorded."""
    values = {"application": application, "environment": environment, "run": run}
    with connection.reading() as database:
        rows = database.execute(_DEPLOYMENTS, {**values, "open": only_open}).fetchall()
    return [_deployment(row) for row in rows]


@whole
def journal(connection: Connection, deployment: int) -> list[Entry]:
    """All that a deployment has written down."""
    with connection.reading() as database:
        rows = database.execute(_JOURNAL, {"deployment": deployment}).fetchall()
    return [
        Entry(row["seq"], row["move"], row["kind"], json.loads(row["data"]), row["time"])
        for row in rows
    ]


@whole
def answer(connection: Connection, deployment: int, approval: Approval) -> bool:
    """Somebody lets a paused deployment go on, or go back; False when it waits for nobody any more."""
    kind = "promoted" if approval.verdict == "approved" else "rejected"
    data = json.dumps({"by": approval.name, "comment": approval.comment})
    line = {"deployment": deployment, "move": -1, "kind": kind, "time": approval.time}
    with connection.writing() as database:
        row = database.execute(_DEPLOYMENT, {"id": deployment}).fetchone()
        if row is None or row["state"] != "paused" or row["finished_at"] is not None:
            return False
        database.execute(_WRITE, {**line, "data": data})
        approvals.write(database, row["run"], [approval], ())
    return True


# -- whose turn it is --


@whole
def live(connection: Connection, subject: Subject) -> Live | None:
    """What is live there; None when nothing ever was."""
    with connection.reading() as database:
        row = database.execute(_LIVE, asdict(subject)).fetchone()
    return _live(row) if row else None


@whole
def all_live(connection: Connection) -> list[Live]:
    """What is live, everywhere."""
    with connection.reading() as database:
        return [_live(row) for row in database.execute(_ALL_LIVE).fetchall()]


@whole
def try_take(
    connection: Connection,
    subject: Subject,
    deployment: int,
    process: str,
    now: float,
    lease: float = LEASE,
) -> int | DeploymentRecord:
    """Take the right to change what is live, if it is free and nobody was here before.

    Returns the token, or the deployment that this one waits for. It lasts so many seconds.
    """
    with connection.writing() as database:
        database.execute(_KNOW, asdict(subject))
        line = _stand(database, subject, deployment, process, now)
        found = _live(database.execute(_LIVE, asdict(subject)).fetchone())
        ahead = found.holder if found.is_held(now) and found.holder != deployment else line
        if ahead is not None:
            return _deployment(database.execute(_DEPLOYMENT, {"id": ahead}).fetchone())
        taken = {"holder": deployment, "process": process, "until": now + lease}
        database.execute(_TAKE, {**asdict(subject), **taken})
        database.execute(_LEAVE, {"deployment": deployment})
        return found.token + 1


@whole
def give_up_turn(connection: Connection, deployment: int) -> None:
    """This one does not wait any more."""
    with connection.writing() as database:
        database.execute(_LEAVE, {"deployment": deployment})


def _stand(
    database: Database, subject: Subject, deployment: int, process: str, now: float
) -> int | None:
    """Stand in line, if not there already; returns who is before, and still waits."""
    here = {"deployment": deployment, "process": process, "now": now}
    if not database.execute(_SEEN, here).rowcount:
        database.execute(_STAND, {**asdict(subject), **here})
    for row in database.execute(_LINE, asdict(subject)).fetchall():
        if row["deployment"] == deployment:
            return None
        if is_alive(row["process"]) and now - row["seen_at"] < FORGOTTEN:
            return int(row["deployment"])
        database.execute(_LEAVE, {"deployment": row["deployment"]})
    return None


@dataclass(frozen=True, slots=True)
class Holder:
    """A deployment that holds the right to change what is live, for as long as its token is the last.

    Every method raises OutdatedError when somebody else has taken over.
    """

    connection: Connection
    subject: Subject
    deployment: int
    token: int
    #: Seconds that it has after each sign of life.
    lease: float = LEASE

    @whole
    def renew(self, now: float) -> None:
        """It is still at work."""
        with self.connection.touching() as database:
            values = {**asdict(self.subject), "token": self.token, "until": now + self.lease}
            self._held(database.execute(_RENEW, values).rowcount)

    @whole
    def plan(self, course: Mapping[str, Any], previous: int | None) -> None:
        """What it is going to do, and which release was live before."""
        with self._writing() as database:
            values = {"id": self.deployment, "course": json.dumps(course), "previous": previous}
            database.execute(_PLAN, values)

    @whole
    def enter(self, state: str, now: float) -> None:
        """It goes on to another state."""
        with self._writing() as database:
            database.execute(_STATE, {"id": self.deployment, "state": state})
            self._write(database, -1, "state", {"state": state}, now)

    @whole
    def write(self, move: int, kind: str, data: Mapping[str, Any], now: float) -> None:
        """One line of the journal; on the disk when this returns."""
        with self._writing() as database:
            self._write(database, move, kind, data, now)

    @whole
    def finish(
        self,
        state: str,
        now: float,
        *,
        reason: str = "",
        message: str = "",
        live: int | None = None,
        judged: Mapping[int, str] | None = None,
        letters: Iterable[Letter] = (),
    ) -> None:
        """It has ended, with the release `live` if one is given; call `let_go` when all is done.

        `judged` are releases that turned out good or bad, `letters` tell people of it.
        """
        subject = asdict(self.subject)
        with self._writing() as database:
            ended = {"id": self.deployment, "state": state, "reason": reason, "message": message}
            database.execute(_END, {**ended, "now": now})
            self._write(database, -1, "state", {"state": state, "reason": reason}, now)
            for number, verdict in (judged or {}).items():
                database.execute(_JUDGE, {**subject, "number": number, "state": verdict})
            if live is not None:
                database.execute(_GO_LIVE, {**subject, "release": live})
            self._audit_end(database, state, message, now)
            post(database, letters)

    def _audit_end(self, database: Database, state: str, message: str, now: float) -> None:
        row = database.execute(_WHOSE, {"id": self.deployment}).fetchone()
        about = {**asdict(self.subject), "deployment": self.deployment, "release": row["release"]}
        about |= {"state": state, "message": message}
        audit.add(database, row["owner"], f"{row['kind']}-ended", about, now)

    @whole
    def pause(self, move: int, letters: Iterable[Letter], now: float) -> None:
        """It waits for a person, who is told so."""
        with self._writing() as database:
            self._write(database, move, "paused", {}, now)
            post(database, letters)

    @whole
    def let_go(self) -> None:
        """Others may take it from now on."""
        with self._writing() as database:
            database.execute(_LET_GO, {**asdict(self.subject), "token": self.token})

    @whole
    def pass_on(self, deployment: int, now: float) -> "Holder":
        """Another deployment, which undoes this one, goes on with what this one holds."""
        with self._writing() as database:
            values = {**asdict(self.subject), "token": self.token, "holder": deployment}
            database.execute(_PASS_ON, {**values, "until": now + self.lease})
            database.execute(_LEAVE, {"deployment": deployment})
        return replace(self, deployment=deployment)

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        with self.connection.writing() as database:
            row = database.execute(_LIVE, asdict(self.subject)).fetchone()
            self._held(row["token"] == self.token)
            yield database

    def _held(self, holds: object) -> None:
        if not holds:
            raise OutdatedError(
                f"another deployment of {self.subject} has taken over from this one",
                hint="`pipe releases` tells which",
            )

    def _write(
        self, database: Database, move: int, kind: str, data: Mapping[str, Any], now: float
    ) -> None:
        line = {"deployment": self.deployment, "move": move, "kind": kind, "time": now}
        database.execute(_WRITE, {**line, "data": json.dumps(data)})


# -- environments that are locked --


@whole
def lock_environment(connection: Connection, lock: EnvironmentLock) -> None:
    """Keep deployments away until somebody unlocks it."""
    values = {"environment": lock.environment, "owner": lock.owner, "message": lock.message}
    with connection.writing() as database:
        database.execute(_LOCK, {**values, "now": lock.locked_at})
        about = {"environment": lock.environment, "message": lock.message}
        audit.add(database, lock.owner, "environment-locked", about, lock.locked_at)


@whole
def unlock_environment(connection: Connection, environment: str, who: str, now: float) -> bool:
    """Let deployments go on; False when it was not locked."""
    with connection.writing() as database:
        was_locked = database.execute(_UNLOCK, {"environment": environment}).rowcount > 0
        if was_locked:
            audit.add(database, who, "environment-unlocked", {"environment": environment}, now)
        return was_locked


@whole
def environment_locks(connection: Connection) -> dict[str, EnvironmentLock]:
    """All locks of people, by environment."""
    with connection.reading() as database:
        rows = database.execute(_LOCKS).fetchall()
    return {row["environment"]: EnvironmentLock(**dict(row)) for row in rows}


# -- rows --


def _release(row: Row) -> ReleaseRecord:
    values = {**dict(row), "definition": json.loads(row["definition"])}
    return ReleaseRecord(**{**values, "settings": json.loads(row["settings"])})


def _deployment(row: Row) -> DeploymentRecord:
    return DeploymentRecord(**{**dict(row), "course": json.loads(row["course"] or "{}")})


def _live(row: Row) -> Live:
    subject = Subject(row["application"], row["environment"])
    names = ("release", "token", "holder", "process", "expires_at")
    return Live(subject, **{name: row[name] for name in names})
