"""The checks `postgres` and `redis`, against real servers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from runner.plugin import CheckResult, Verdict
from runner.testing import check_call
from runner.testing.checks import Make, answers, ends_in_time
from tests.certificates import Authority
from tests.checked import Here, check, free_port, saying
from tests.redis_server import redis_server
from tests.servers import FAST, Server, running, user

POSTGRES, REDIS = check("postgres"), check("redis")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(check_call, tmp_path, Here(tmp_path))


@pytest.fixture(scope="module")
def secured() -> Iterator[Server]:
    """A PostgreSQL server that speaks TLS to those who want it."""
    with TemporaryDirectory(prefix="pipe-certificates-") as name:
        folder = Path(name)
        authority = Authority(folder)
        authority.create()
        authority.context("server")
        for file in (folder, *folder.iterdir()):
            shutil.chown(file, user())
        tls = ["ssl=on", f"ssl_cert_file={folder}/server.pem", f"ssl_key_file={folder}/server.key"]
        with running([*FAST, *tls]) as server:
            yield server


@pytest.fixture(scope="module")
def dsn(secured: Server) -> str:
    url = secured.new_database()
    for statement in (
        "CREATE TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version VALUES ('8f2c1d')",
        "CREATE SCHEMA app CREATE TABLE moves (version bigint)",
        "INSERT INTO app.moves VALUES (20240131)",
    ):
        in_database(url, statement)
    return url


def in_database(url: str, statement: str) -> None:
    from psycopg import connect

    with connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({}, "pass", "it answers in"),
        ({"query": "select 'a', 2", "expect": "a"}, "pass", ""),
        ({"query": "select count(*) from app.moves", "expect": 1}, "pass", ""),
        ({"query": "select true", "expect": True}, "pass", ""),
        ({"query": "select 41", "expect": 42}, "fail", "gives `41`, not `42`"),
        ({"query": "select 1 where false", "expect": "1"}, "fail", "gives `None`"),
        ({"query": "delete from app.moves"}, "error", "in a read-only transaction"),
        ({"query": "selekt"}, "error", "syntax error"),
        ({"query": "select pg_sleep(60)"}, "fail", "statement timeout"),
        ({"min-version": 10}, "pass", ""),
        ({"min-version": "99.2"}, "fail", "older than 99.2"),
        ({"min-version": "new"}, "error", "no version"),
        ({"ssl": "required"}, "pass", ""),
        ({"ssl": "maybe"}, "error", "neither"),
        ({"max-lag": "1s"}, "pass", ""),
        ({"max-connections": "90%"}, "pass", ""),
        ({"max-connections": "0%"}, "fail", "of its connections are in use, more than 0%"),
        ({"migrations": {"table": "alembic_version", "version": "8f2c1d"}}, "pass", ""),
        ({"migrations": {"table": "alembic_version", "version": "9"}}, "fail", "`9` is not in"),
        ({"migrations": {"table": "app.moves", "version": 20240131}}, "pass", ""),
        ({"migrations": {"table": "a\"; drop table app.moves; --", "version": 1}}, "fail", "is not in"),
        ({"migrations": {"table": "app.moves", "column": "x", "version": 1}}, "error", "does not exist"),
    ],
)  # fmt: skip
def test_postgres(
    make: Make, dsn: str, settings: dict[str, Any], verdict: Verdict, told: str
) -> None:
    ask = partial(make, deadline=_soon(0.8)) if "pg_sleep" in str(settings) else make
    assert told in answers(POSTGRES, {"dsn": dsn, **settings}, ask, verdict).message


def _soon(seconds: float) -> float:
    return time.monotonic() + seconds


def test_postgres_without_encryption(make: Make, dsn: str) -> None:
    settings = {"dsn": f"{dsn}?sslmode=disable", "ssl": "required"}
    result = answers(POSTGRES, settings, make, "fail")
    assert result.message == "the connection is not encrypted"
    assert result.evidence["ssl"] is False


def test_postgres_that_is_away(make: Make, secured: Server) -> None:
    settings = {"dsn": f"postgresql://pipe:secret@127.0.0.1:{free_port()}/x"}
    result = answers(POSTGRES, settings, make, "fail")
    assert "no connection: " in result.message
    assert "secret" not in str(result)
    result = answers(POSTGRES, {"dsn": "postgresql://pipe:secret@[::1/"}, make, "error")
    assert "secret" not in str(result)
    settings = {"dsn": secured.url("no-such-database")}
    assert "does not exist" in answers(POSTGRES, settings, make, "fail").message


def test_postgres_that_hangs(make: Make, secured: Server, dsn: str) -> None:
    with saying(end=False) as address:
        settings = {"dsn": f"postgresql://pipe@{address}/x"}
        ends_in_time(POSTGRES, settings, make, within=0.4)
    assert secured.process
    # its children go on: this one has a connection, and then stops
    hanging = {"dsn": dsn, "query": "select pg_sleep(0.3), pg_backend_pid()"}
    os.kill(secured.process.pid, signal.SIGSTOP)
    try:
        ends_in_time(POSTGRES, hanging, make, within=0.4)
    finally:
        os.kill(secured.process.pid, signal.SIGCONT)


def test_postgres_without_its_library(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = answers(POSTGRES, {"dsn": "postgresql://"}, make, "error")
    assert "install `pipe-runner[postgres]`" in result.message


def test_a_standby_that_is_behind(make: Make, secured: Server, dsn: str) -> None:
    with standby(secured) as server:
        settings = {"dsn": server.url(dsn.rpartition("/")[2]), "max-lag": "200ms"}
        until(lambda: answers(POSTGRES, settings, make, "pass"))
        until(lambda: answers(POSTGRES, settings | {"dsn": dsn}, make, "pass"))
        in_database(server.url("postgres"), "select pg_wal_replay_pause()")

        def behind() -> CheckResult:
            in_database(dsn, "insert into app.moves values (1)")
            return answers(POSTGRES, settings, make, "fail")

        result = until(behind)
        assert "seconds behind, more than 0.2" in result.message


def until(ask: Callable[[], CheckResult]) -> CheckResult:
    """Ask until it holds; a standby takes its time."""
    deadline = _soon(20)
    while True:
        try:
            return ask()
        except AssertionError:
            if deadline < _soon(0):
                raise


@contextmanager
def standby(primary: Server) -> Iterator[Server]:
    with TemporaryDirectory(prefix="pipe-postgres-") as name:
        server = Server(Path(name), primary.programs, primary.user, FAST)
        shutil.chown(name, primary.user)
        where = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "pipe", "-D", f"{name}/data"]
        program = [
            str(primary.programs / "pg_basebackup"),
            *where,
            "-R",
            "-c",
            "fast",
            "-X",
            "stream",
        ]
        as_user = primary.user if os.getuid() == 0 else None
        subprocess.run(program, check=True, capture_output=True, cwd="/", user=as_user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    options = ("--maxmemory", "100mb", "--requirepass", "secret word")
    with redis_server(tmp_path_factory.mktemp("redis"), *options) as port:
        yield port


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({}, "pass", "it answers"),
        ({"roundtrip": True}, "pass", ""),
        ({"role": "primary"}, "pass", ""),
        ({"role": "replica"}, "fail", "it is a primary, no replica"),
        ({"role": "captain"}, "error", "neither"),
        ({"memory-max": "50%"}, "pass", "of its memory is in use"),
        ({"memory-max": "0%"}, "fail", "of its memory is in use, more than 0%"),
        ({"ping": False, "memory-max": "half"}, "error", "a percentage"),
    ],
)
def test_redis(
    make: Make, redis: int, settings: dict[str, Any], verdict: Verdict, told: str
) -> None:
    url = f"redis://:secret%20word@127.0.0.1:{redis}/2"
    result = answers(REDIS, {"url": url, **settings}, make, verdict)
    assert told in result.message
    assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("url", "verdict", "told"),
    [
        ("redis://127.0.0.1:{port}", "fail", "refuses: NOAUTH"),
        ("redis://:wrong@127.0.0.1:{port}", "fail", "refuses: WRONGPASS"),
        ("redis://default:secret%20word@127.0.0.1:{port}", "pass", ""),
        ("redis://:secret%20word@127.0.0.1:{port}/99", "fail", "refuses: ERR DB index"),
        ("http://127.0.0.1:{port}", "error", "`url` is none"),
        ("redis://:secret@127.0.0.1:port", "error", "`url` is none"),
        ("redis://127.0.0.1:{port}/x", "error", "`url` is none"),
    ],
)
def test_redis_urls(make: Make, redis: int, url: str, verdict: Verdict, told: str) -> None:
    assert told in answers(REDIS, {"url": url.format(port=redis)}, make, verdict).message


def test_redis_that_is_a_replica_without_limit(make: Make, redis: int, tmp_path: Path) -> None:
    options = ["--replicaof", "127.0.0.1", str(redis), "--masterauth", "secret word"]
    with redis_server(tmp_path, *options) as port:
        settings = {"url": f"redis://127.0.0.1:{port}"}
        answers(REDIS, settings | {"role": "replica"}, make, "pass")
        assert "READONLY" in answers(REDIS, settings | {"roundtrip": True}, make, "fail").message
        result = answers(REDIS, settings | {"memory-max": "10%"}, make, "inconclusive")
        assert "no `maxmemory`" in result.message


def test_redis_over_tls(make: Make, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.create()
    authority.context("server")
    files = ["--tls-cert-file", "server.pem", "--tls-key-file", "server.key"]
    tls = free_port()
    options = ["--tls-port", str(tls), "--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no"]
    with redis_server(tmp_path, *options, *files):
        settings = {"url": f"rediss://127.0.0.1:{tls}"}
        answers(REDIS, settings | {"ca": "ca.pem", "roundtrip": True}, make, "pass")
        assert "not trusted" in answers(REDIS, settings, make, "fail").message


@pytest.mark.parametrize(
    "parts", [[b"HTTP/1.1 400 Bad\r\n"], [b""], [b"+" + b"x" * 100_000], [b"$5\r\nab"], [b"*9\r\n"]]
)
def test_what_is_no_redis(make: Make, parts: list[bytes]) -> None:
    with saying(*parts) as address:
        settings = {"url": f"redis://{address}", "role": "primary", "ping": parts != [b"$5\r\nab"]}
        answers(REDIS, settings, make, "fail")


def test_redis_that_hangs(make: Make) -> None:
    with saying(*[b"x"] * 100, pause=0.1, end=False) as address:
        ends_in_time(REDIS, {"url": f"redis://{address}"}, make, within=0.4)
    answers(REDIS, {"url": f"redis://127.0.0.1:{free_port()}"}, make, "fail")
