"""A PostgreSQL server for tests: of their own, in a temporary folder, ended with them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from psycopg import OperationalError, connect

#: Where distributions keep what is not in PATH.
_FOLDERS = "/usr/lib/postgresql/*/bin"
#: Tests do not lose power.
FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=200")


def binaries() -> Path | None:
    """The folder with the server's programs; None when it is not installed."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    known = sorted(Path("/").glob(f"{_FOLDERS[1:]}/postgres"), key=lambda path: str(path))
    return known[-1].parent if known else None


@contextmanager
def running(settings: Sequence[str]) -> Iterator["Server"]:
    """A server with an empty folder of its own; tests are skipped where none is installed."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (tests/machine/database installs it)")
    # Not in the folder of all tests, which only the user may enter whom they run as.
    with TemporaryDirectory(prefix="pipe-postgres-") as folder:
        server = Server(Path(folder), programs, user(), settings)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@dataclass
class Server:
    """A server that listens at a port of its own on this machine."""

    folder: Path
    programs: Path
    #: The server refuses to run as root.
    user: str
    settings: Sequence[str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    numbers: "count[int]" = field(default_factory=count)

    def create(self) -> None:
        """Makes the files of an empty server."""
        shutil.chown(self.folder, self.user)
        options = ["--auth=trust", "--encoding=UTF8", "--no-sync", "--username=pipe"]
        # Another order of letters than that of bytes, as most servers have it.
        locale = ["--locale=C", "--locale-provider=icu", "--icu-locale=en"]
        program = [str(self.programs / "initdb"), *options, *locale, str(self.folder / "data")]
        done = subprocess.run(program, capture_output=True, cwd="/", check=False, user=self._user())
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))

    def start(self) -> None:
        """Returns when it answers."""
        self.port = self.port or _free_port()
        settings = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            *self.settings,
        ]
        options = [word for setting in settings for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options],
                stdout=log,
                stderr=log,
                cwd="/",
                # Nothing of the test that it runs beside.
                env={"PATH": os.environ["PATH"]},
                user=self._user(),
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(errors="replace"))
            time.sleep(0.02)

    def _answers(self) -> bool:
        with suppress(OperationalError), connect(self.url("postgres")):
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it: at once, all transactions undone (SIGINT), or as if it had crashed (SIGQUIT)."""
        assert self.process
        self.process.send_signal(how)
        self.process.wait(60)

    def url(self, database: str) -> str:
        return f"postgresql://pipe@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a database without tables."""
        name = f"test{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, statement: str) -> None:
        with connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _user(self) -> str | None:
        return self.user if os.getuid() == 0 else None


_SEQUENCES = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"
_TABLES = """
SELECT tablename FROM pg_tables
WHERE schemaname = 'public' AND tablename != 'alembic_version' ORDER BY tablename
"""
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid != pg_backend_pid()
"""


class Emptied:
    """A database that is made as good as new for each test, which takes less than a new one."""

    def __init__(self, url: str) -> None:
        """`url`: of a database that has all tables, and nothing in them but what all have."""
        self.url = url
        with connect(url, autocommit=True) as connection:
            self._tables = [name for (name,) in connection.execute(_TABLES)]
            connection.execute("CREATE SCHEMA kept")
            connection.execute("CREATE TABLE kept.scope AS TABLE scope")

    def empty(self) -> str:
        """Ends whoever still uses it; returns its URL."""
        with connect(self.url, autocommit=True) as connection:
            connection.execute(_END_OTHERS)
            for table in self._tables:
                connection.execute(f'DELETE FROM "{table}"'.encode())
            connection.execute(_SEQUENCES)
            connection.execute("INSERT INTO scope TABLE kept.scope")
        return self.url


def user() -> str:
    """Who the server runs as: we, unless that is root."""
    if os.getuid():
        return pwd.getpwuid(os.getuid()).pw_name
    known = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
