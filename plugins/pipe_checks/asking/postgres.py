"""The check `postgres`: a PostgreSQL server answers, and is as it should be."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipe_checks.asking.deadlines import deadline_of, within
from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import short
from runner.plugin import CheckResult, DeliveryError, failed, passed

if TYPE_CHECKING:
    from psycopg import Connection

    from runner.plugin import CheckCall

#: Seconds behind: of a standby, or of the slowest standby of a primary. One that has applied all
#: that it got is not behind, however long ago that was.
LAG = """
select case
    when not pg_is_in_recovery() then
        (select coalesce(extract(epoch from max(replay_lag)), 0) from pg_stat_replication)
    when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
    else extract(epoch from
        now() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))
end
"""
CONNECTIONS = """
select count(*)::float / current_setting('max_connections')::int
from pg_stat_activity where backend_type = 'client backend'
"""


@dataclass(slots=True)
class Session:
    """A connection that may hang, and the way to end it from another thread."""

    dsn: str
    left: float
    connection: "Connection[Any] | None" = None
    evidence: dict[str, Any] = field(default_factory=dict)

    def value(self, query: Any, *parameters: Any) -> Any:
        """The first column of the first row; None when there is none."""
        assert self.connection
        cursor = self.connection.execute(query, parameters or None)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def end(self) -> None:
        """Makes whoever waits for the server wait no longer."""
        import os
        import socket
        from contextlib import suppress

        if self.connection and not self.connection.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as sock:
                sock.shutdown(socket.SHUT_RDWR)


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    _need_library()
    deadline = deadline_of(call)
    session = Session(settings.text("dsn"), deadline.left())
    start = time.monotonic()
    try:
        problems = within(deadline, lambda: _ask(session, settings))
    except TimeoutError:
        session.end()
        return failed("the server did not answer in time", evidence=session.evidence)
    seconds = round(time.monotonic() - start, 4)
    details: dict[str, Any] = {"value": seconds, "samples": 1, "evidence": session.evidence}
    if problems:
        return failed("; ".join(problems), **details)
    return passed(f"it answers in {seconds * 1000:.0f} ms", **details)


def _need_library() -> None:
    try:
        import psycopg  # noqa: F401 - whether it is there
    except ImportError:
        raise DeliveryError(
            "the check `postgres` needs psycopg: install `pipe-runner[postgres]`"
        ) from None


def _ask(session: Session, settings: Settings) -> list[str]:
    """All that is wrong. Raises DeliveryError for what cannot be asked."""
    import psycopg

    try:
        connection = _connect(session)
    except psycopg.ProgrammingError:
        raise DeliveryError("`dsn` is no way to connect to PostgreSQL") from None
    except psycopg.Error as error:
        return [f"no connection: {_told(error)}"]
    with connection:
        try:
            return list(_problems(session, settings))
        except psycopg.OperationalError as error:
            return [_told(error)]
        except psycopg.Error as error:
            raise DeliveryError(f"the server refuses the question: {_told(error)}") from None


def _connect(session: Session) -> "Connection[Any]":
    import psycopg

    options = {"connect_timeout": max(2, int(session.left)), "application_name": "pipe-check"}
    connection = psycopg.connect(session.dsn, autocommit=True, **options)  # type: ignore[arg-type]
    session.connection = connection
    connection.execute("set session characteristics as transaction read only")
    # a little less than there is, so that the server says so itself
    patience = max(1, int(session.left * 800))
    connection.execute(f"set statement_timeout = {patience}".encode())
    return connection


def _told(error: Exception) -> str:
    """A server's complaint; the library puts no passwords in it."""
    return short(str(error)) or type(error).__name__


def _problems(session: Session, settings: Settings) -> Iterator[str]:
    found = session.value(settings.text("query", "select 1").encode())
    if settings.has("expect") and _text(found) != _text(settings.values["expect"]):
        yield f"the query gives `{short(_text(found), 60)}`, not `{_text(settings.values['expect'])}`"
    yield from _version(session, settings)
    yield from _ssl(session, settings)
    if settings.has("max-lag"):
        lag, limit = float(session.value(LAG.encode())), settings.seconds("max-lag", "")
        session.evidence["lag"] = round(lag, 3)
        if lag > limit:
            yield f"it is {lag:.1f} seconds behind, more than {limit:g}"
    if settings.has("max-connections"):
        share, most = (
            float(session.value(CONNECTIONS.encode())),
            settings.share("max-connections", ""),
        )
        session.evidence["connections"] = round(share, 4)
        if share > most:
            yield f"{share:.0%} of its connections are in use, more than {most:.0%}"
    if settings.has("migrations"):
        yield from _migrations(session, settings.inner("migrations"))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _version(session: Session, settings: Settings) -> Iterator[str]:
    assert session.connection
    number = session.connection.info.server_version
    found = (number // 10000, number % 10000)
    session.evidence["version"] = f"{found[0]}.{found[1]}"
    if not settings.has("min-version"):
        return
    least = settings.text("min-version")
    try:
        wanted = tuple(int(part) for part in least.split("."))
    except ValueError:
        raise DeliveryError("`min-version` is no version such as `15.4`") from None
    if found < wanted:
        yield f"it is PostgreSQL {found[0]}.{found[1]}, older than {least}"


def _ssl(session: Session, settings: Settings) -> Iterator[str]:
    assert session.connection
    wanted = settings.text("ssl", "optional")
    if wanted not in ("optional", "required"):
        raise DeliveryError("`ssl` is neither `optional` nor `required`")
    session.evidence["ssl"] = bool(session.connection.pgconn.ssl_in_use)
    if wanted == "required" and not session.evidence["ssl"]:
        yield "the connection is not encrypted"


def _migrations(session: Session, settings: Settings) -> Iterator[str]:
    from psycopg import sql
    from psycopg.errors import UndefinedTable

    name, version = settings.text("table"), settings.text("version")
    is_alembic = name.rpartition(".")[2] == "alembic_version"
    column = settings.text("column", "version_num" if is_alembic else "version")
    query = sql.SQL("select exists (select from {} where {}::text = %s)").format(
        sql.Identifier(*name.split(".")), sql.Identifier(column)
    )
    try:
        is_applied = session.value(query, version)
    except UndefinedTable:
        is_applied = False
    if not is_applied:
        yield f"the migration `{short(version, 60)}` is not in `{short(name, 60)}`"
