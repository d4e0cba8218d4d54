"""SQLite's log and its checkpoints, with several connections and processes that write."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.store.sqlite import SqliteConnection
from runner.store.sqlite.checkpoints import NO_CHECKPOINTS, Checkpoints, has_pages

pytestmark = pytest.mark.timeout(60)

PAGE = 4096
LONG = 4000
WRITER = """
import sys
from pathlib import Path
from runner.store.sqlite import SqliteConnection

connection = SqliteConnection(Path(sys.argv[1]), durable=False)
for _ in range(int(sys.argv[2])):
    with connection.writing() as database:
        database.execute("INSERT INTO thing (bytes) VALUES (zeroblob(400000))")
"""
STUCK = """
import sys, time
from pathlib import Path
from runner.store.sqlite import SqliteConnection
from runner.store.sqlite.checkpoints import Checkpoints

def stuck(self):
    print("checkpoint", flush=True)
    time.sleep(100)

Checkpoints.do = stuck
connection = SqliteConnection(Path(sys.argv[1]), durable=False)
with connection.writing() as database:
    database.execute("INSERT INTO thing (bytes) VALUES (zeroblob(20000000))")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with a table for bytes."""
    path = tmp_path / "pipe.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, bytes BLOB)")
    return path


@pytest.fixture
def idle(file: Path) -> Iterator[SqliteConnection]:
    """A connection because of which nobody is the last one to close the file."""
    with closing(SqliteConnection(file, durable=True)) as connection:
        with connection.reading() as database:
            database.execute("SELECT 1")
        yield connection


def write(file: Path, pages: int) -> None:
    """What a process does that comes and goes."""
    with (
        closing(SqliteConnection(file, durable=False)) as connection,
        connection.writing() as database,
    ):
        values = {"size": pages * (PAGE - 4)}
        database.execute("INSERT INTO thing (bytes) VALUES (zeroblob(:size))", values)


def log_of(file: Path) -> Path:
    return file.with_name("pipe.db-wal")


def test_the_log_stays_short_whoever_writes(file: Path, idle: SqliteConnection) -> None:
    for _ in range(20):
        write(file, 1000)
    assert log_of(file).stat().st_size < 1.5 * LONG * PAGE
    assert file.stat().st_size > 15 * 1000 * PAGE


def test_pages_that_an_earlier_log_left_do_not_count(file: Path, idle: SqliteConnection) -> None:
    write(file, LONG + 10)
    assert has_pages(log_of(file), LONG)
    write(file, 10)
    assert log_of(file).stat().st_size > LONG * PAGE
    assert has_pages(log_of(file), 10)
    assert not has_pages(log_of(file), LONG)


@pytest.mark.parametrize("content", [None, b"", b"short", bytes(100)])
def test_what_is_no_log_has_no_pages(tmp_path: Path, content: bytes | None) -> None:
    log = tmp_path / "pipe.db-wal"
    if content is not None:
        log.write_bytes(content)
    assert not has_pages(log, LONG)


def test_a_long_reader_does_not_make_each_commit_a_checkpoint(
    file: Path, idle: SqliteConnection
) -> None:
    checkpoints = Checkpoints(file)
    due = 0
    with idle.reading() as database, closing(sqlite3.connect(file)) as writer:
        database.execute("SELECT * FROM thing").fetchall()
        writer.execute(f"PRAGMA {NO_CHECKPOINTS}")
        for _ in range(25):
            writer.execute("INSERT INTO thing (bytes) VALUES (zeroblob(2000000))")
            writer.commit()
            due += checkpoints.are_due()
    assert has_pages(log_of(file), 3 * LONG)
    assert due == 3


def test_nobody_can_write_beside_a_checkpoint(
    file: Path, idle: SqliteConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever does might begin the log anew, unnoticed by the checkpoint."""
    do = Checkpoints.do
    refused = []

    def watched(checkpoints: Checkpoints) -> None:
        with closing(sqlite3.connect(file, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            do(checkpoints)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            refused.append(file.stat().st_size)

    monkeypatch.setattr(Checkpoints, "do", watched)
    write(file, LONG + 10)
    assert len(refused) == 1
    assert refused[0] > LONG * PAGE
    write(file, 10)


def test_what_was_committed_counts_though_its_checkpoint_fails(
    file: Path, idle: SqliteConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Checkpoints) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "do", fail)
        write(file, LONG + 10)
    write(file, 10)
    assert file.stat().st_size > LONG * PAGE


def test_the_last_to_close_leaves_no_log(file: Path) -> None:
    write(file, 10)
    assert not log_of(file).exists()


def test_whoever_dies_in_a_checkpoint_leaves_it_to_the_next(
    file: Path, idle: SqliteConnection
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, str(file)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"checkpoint\n"
        process.send_signal(signal.SIGKILL)
    assert file.stat().st_size < LONG * PAGE
    write(file, 10)
    assert file.stat().st_size > LONG * PAGE


def test_processes_that_write_at_once_leave_a_sound_file(
    file: Path, idle: SqliteConnection
) -> None:
    command = [sys.executable, "-c", WRITER, str(file), "100"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    # Each of them looks at the length of the log only now and then.
    assert log_of(file).stat().st_size < 3 * LONG * PAGE
    with idle.reading() as database:
        assert database.execute("SELECT count(*) AS found FROM thing").fetchone()["found"] == 300
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
