"""The database: its tables, what events leave in it, how it is shared, and what may be wrong with it."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from runner import events as happened
from runner.errors import EnvironmentMissingError, InvalidInputError, PipeError, Position
from runner.plan import Plan, PlannedJob
from runner.store import (
    Store,
    census,
    claims,
    dead,
    due,
    following,
    hot,
    identity,
    leases,
    limits,
    lines,
    process,
    projection,
    pruning,
    raw,
    reads,
    reusable,
    schedules,
    schema,
    tables,
    workers,
)
from runner.store.connection import Connection
from runner.store.migrations import dump
from runner.store.rows import RunEdit, StoredJob, StoredRun, Submission, blocked
from runner.store.sqlite import schema as sqlite_schema
from runner.store.sqlite.connection import SqliteConnection

SUBMISSION = Submission(file="ci.yaml", text="jobs: {}", project="/project", name="CI")
PLAN = Plan((PlannedJob("build", "build", "Build"), PlannedJob("test", "test", "Test")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> int:
    return insert(store)


def insert(store: Store, submission: Submission = SUBMISSION) -> int:
    """A new run of two blocked jobs."""
    number, run_number = hot.next_numbers(store.notes, submission.project, submission.file)
    new = StoredRun(
        id=number,
        run_number=run_number,
        submission=submission,
        plan=PLAN,
        jobs={job.key: blocked(job, at, submission, 1.0) for at, job in enumerate(PLAN.jobs)},
        created_at=1.0,
    )
    assert hot.save(store.promises, [RunEdit(None, new, ())])
    return number


def lease_build(store: Store, run: int) -> None:
    """Leases the first job, so that there is an attempt that steps belong to."""
    with store.promises.writing() as database:
        database.execute("UPDATE job SET state = 'queued' WHERE key = 'build'")
    claimed = claims.of_run(store.notes, claims.Lessee("me", 32.0), run, 1, 2.0)
    assert claimed.jobs == [(run, "build")]


def rows(store: Store, query: str) -> list[dict[str, Any]]:
    with store.notes.reading() as database:
        return [dict(row) for row in database.execute(query)]


# -- tables, migrations and plain SQL agree --


def test_migrations_lead_to_the_tables(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables.METADATA) == []


def test_migrations_lead_to_the_same_sql_as_the_tables(store: Store) -> None:
    engine = create_engine("sqlite://")
    tables.METADATA.create_all(engine)
    with engine.connect() as connection, store.engine.connect() as migrated:
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        expected = {name: normal(sql) for name, sql in connection.exec_driver_sql(query)}
        found = {name: normal(sql) for name, sql in migrated.exec_driver_sql(query)}
    del found["alembic_version"]
    assert found == expected


def test_new_databases_are_what_migrations_lead_to(tmp_path: Path) -> None:
    assert schema.SCHEMA.read_text("utf-8") == dump.render(), dump.__doc__
    Store.open(tmp_path).close()
    sqlite_schema._migrate(tmp_path / "migrated.db")
    assert contents(tmp_path / "pipe.db") == contents(tmp_path / "migrated.db")


def contents(path: Path) -> tuple[Any, ...]:
    """All definitions of a database, and the versions that it says it has."""
    with closing(sqlite3.connect(path)) as database:
        definitions = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
        return (
            {name: normal(sql or "") for name, sql in definitions},
            database.execute("SELECT * FROM alembic_version").fetchall(),
            database.execute("PRAGMA user_version").fetchone(),
            database.execute("PRAGMA journal_mode").fetchone(),
        )


def normal(sql: str) -> str:
    return re.sub(r"[\s\"]+", " ", sql).replace("( ", "(").strip()


def test_an_older_database_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    engine = create_engine(f"sqlite:///{tmp_path / 'old' / 'pipe.db'}")
    with engine.begin() as connection:
        config = script_location()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("PRAGMA user_version = 1")
        connection.exec_driver_sql("INSERT INTO pipeline VALUES ('/project', 'ci.yaml', 7)")
    engine.dispose()
    with Store.open(tmp_path / "old") as old, Store.open(tmp_path / "new") as new:
        assert contents(old.home / "pipe.db") == contents(new.home / "pipe.db")
        assert hot.next_numbers(old.notes, "/project", "ci.yaml") == (1, 8)


def test_the_version_of_the_tables_is_the_newest_migration() -> None:
    scripts = ScriptDirectory.from_config(script_location())
    assert [int(head) for head in scripts.get_heads()] == [schema.SCHEMA_VERSION]


def script_location() -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def test_jobs_have_the_columns_of_their_table() -> None:
    assert {field.name for field in fields(StoredJob)} | {"run"} == columns(tables.JobRow)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        (hot._INSERT_RUN, tables.RunRow),
        (hot._INSERT_SUBMISSION, tables.SubmissionRow),
        (hot._COUNT_RUN, tables.PipelineRow),
        (lines._JOIN.replace("(", "(id, ", 1), tables.PlaceRow),
    ],
)
def test_plain_sql_fills_every_column(statement: str, table: type) -> None:
    named = re.search(r"INSERT INTO \w+ \((.+?)\)", statement, re.DOTALL)
    assert named
    assert set(re.findall(r"\w+", named[1])) == columns(table)


def columns(table: type) -> set[str]:
    return set(table.__table__.columns.keys())  # type: ignore[attr-defined]


MODULES = (
    *(hot, raw, following, leases, claims, limits, lines, workers, dead, due),
    *(census, identity, pruning, schedules, reusable),
)
HOT = {
    f"{module.__name__}.{name}": sql
    for module in MODULES
    for name, sql in vars(module).items()
    if isinstance(sql, str) and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH) ", sql)
}


@pytest.mark.parametrize("name", HOT)
def test_plain_sql_fits_the_tables(store: Store, name: str) -> None:
    sql = HOT[name]
    values = dict.fromkeys(re.findall(r":(\w+)", sql))
    with store.notes.reading() as database:
        assert database.execute(f"EXPLAIN {sql}", values).fetchall()


def test_what_a_server_breaks_off_is_done_again() -> None:
    public = {
        f"{module.__name__}.{name}": each
        for module in MODULES
        for name, each in vars(module).items()
        if isfunction(each) and each.__module__ == module.__name__ and not name.startswith("_")
    }
    asks = {
        name: each
        for name, each in public.items()
        if next(iter(signature(each).parameters.values())).annotation is Connection
    }
    assert len(asks) > 30
    assert [name for name, each in asks.items() if not hasattr(each, "__wrapped__")] == []


def test_the_index_delivers_the_order_of_leasing(store: Store) -> None:
    plan = query_plan(store, claims._FIRST)
    assert "job_ready" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (claims._POOLS, "job_ready"),
        (claims._OWNERS, "job_ready"),
        (claims._PROMOTE, "job_due"),
        (claims._IS_DUE, "job_due"),
        (claims._OF_RUN, "sqlite_autoindex_job_1"),
        (limits._OF_RUN, "sqlite_autoindex_scope_1"),
        (limits._IS_HELD, "job_held"),
        (limits._HELD_OWNERS, "job_held"),
        (limits._HELD_RUNS, "job_held"),
        (workers._LEASED_BY, "job_leased"),
        (due._RUNS_DUE, "run_due"),
        (due._RUNS_EXPIRED, "run_expiring"),
        (due._RUNS_OVERRUN, "run_limited"),
        (claims._FIRST, "job_ready"),
        (claims._LEASE, "sqlite_autoindex_job_1"),
        (claims._IS_READY_IN_RUN, "sqlite_autoindex_job_1"),
        (claims._IS_COMING, "run_due"),
        (claims._START, "INTEGER PRIMARY KEY"),
        (claims._TOUCH, "INTEGER PRIMARY KEY"),
        (raw.SELECT_RUN, "INTEGER PRIMARY KEY"),
        (raw.SELECT_JOBS, "sqlite_autoindex_job_1"),
        (following._JOBS, "sqlite_autoindex_job_1"),
        (following._ATTEMPTS, "sqlite_autoindex_attempt_1"),
        (hot._SUBMITTED, "run_by_key"),
        (leases._NEXT_DUE, "sqlite_autoindex_job_1"),
        (leases._TO_CANCEL, "job_leased"),
        (leases._OWNED_RUNS, "run_open"),
        (hot._EVENTS, "event_of_run"),
        (lines._SELECT_LINE, "place_in_line"),
        (lines._OF_RUN, "sqlite_autoindex_place_1"),
        (lines._LINES_OF_RUN, "place_in_line"),
    ],
)
def test_questions_that_are_asked_often_use_an_index(
    store: Store, statement: str, index: str
) -> None:
    assert index in query_plan(store, statement)


def query_plan(store: Store, sql: str) -> str:
    values = dict.fromkeys(re.findall(r":(\w+)", sql))
    with store.notes.reading() as database:
        found = database.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    return "\n".join(row["detail"] for row in found)


# -- opening --


@pytest.mark.parametrize("exists", [True, False])
def test_a_database_of_this_version_is_opened_without_heavy_imports(
    tmp_path: Path, exists: bool
) -> None:
    if exists:
        Store.open(tmp_path).close()
    code = (
        "import sys; from pathlib import Path; from runner.store import Store;"
        "from runner import queue;"
        "store = Store.open(Path(sys.argv[1])); store.events(1); queue.rescue(store, 1.0);"
        "queue.lease(store, 'me', now=1.0); store.close();"
        "print(sorted({'sqlmodel', 'sqlalchemy', 'alembic', 'pydantic', 'yaml', 'jsonschema'}"
        " & set(sys.modules)))"
    )
    assert python(code, tmp_path) == "[]"


def test_several_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from runner.store import Store;"
        "sys.stdin.read();"
        "store = Store.open(Path(sys.argv[1])); print(store.events(1)); store.close()"
    )
    processes = [start(code, tmp_path / "home") for _ in range(4)]
    for each in processes:
        assert each.stdin
        each.stdin.close()
    assert [ended(each) for each in processes] == ["[]"] * 4


DIES_CREATING = """
import os, signal, sqlite3, sys
from pathlib import Path
from runner.store import Store

connect, seen = sqlite3.connect, []

def watched(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(die)
    return connection

def die(statement):
    seen.append(statement)
    if "BEGIN IMMEDIATE" in seen and statement.strip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

sqlite3.connect = watched
Store.open(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN IMMEDIATE",
        "CREATE TABLE pipeline",
        "CREATE INDEX event_of_run",
        "INSERT INTO alembic_version",
        "PRAGMA user_version =",
        "COMMIT",
    ],
)
def test_a_database_is_created_whole_or_not_at_all(tmp_path: Path, statement: str) -> None:
    with start(DIES_CREATING, tmp_path, statement) as killed:
        assert killed.wait() == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / "pipe.db")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
    with Store.open(tmp_path) as store:
        assert insert(store) == 1


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    with process:
        assert process.stdout
        assert process.stderr
        output, errors = process.stdout.read(), process.stderr.read()
    assert errors == ""
    return output.strip()


def python(code: str, *arguments: object) -> str:
    process = start(code, *arguments)
    return ended(process)


def test_the_database_is_private(store: Store) -> None:
    assert (store.home / "pipe.db").stat().st_mode & 0o077 == 0


def test_promises_are_synced_and_notes_are_not(store: Store) -> None:
    synchronous = []
    for connection in (store.promises, store.notes):
        with connection.reading() as database:
            synchronous.append(database.execute("PRAGMA synchronous").fetchone()[0])
            assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            assert database.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert synchronous == [2, 1]


def test_a_closed_store_may_be_closed_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    assert reads.runs(store) == []
    store.close()
    store.close()


# -- what may be wrong with it --


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "pipe.db") as database:
        database.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    database.close()
    with pytest.raises(EnvironmentMissingError) as caught:
        Store.open(tmp_path)
    assert "newer version" in caught.value.message
    assert "update pipe" in caught.value.hint


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipe.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(EnvironmentMissingError, match="is not a database"):
        Store.open(tmp_path)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "pipe.db") as database:
        database.execute("CREATE TABLE run (mine)")
    database.close()
    with pytest.raises(EnvironmentMissingError, match="cannot be brought up to date"):
        Store.open(tmp_path)
    with sqlite3.connect(tmp_path / "pipe.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("run",)]
    database.close()


def test_a_damaged_database_is_a_clear_error(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        number = insert(store)
        for n in range(200):
            store.record(happened.Note(run=number, time=float(n), message="x" * 500))
    path = tmp_path / "pipe.db"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(EnvironmentMissingError, match="is damaged"):
        read_events(tmp_path, number)


def read_events(home: Path, run: int) -> list[tuple[int, happened.Event]]:
    with Store.open(home) as store:
        return store.events(run)


def test_a_full_disk_is_a_clear_error_and_the_store_stays_usable(store: Store, run: int) -> None:
    with store.notes.reading() as database:
        size = database.execute("PRAGMA page_count").fetchone()[0]
    limit(store, size)
    large = happened.Note(run=run, time=1.0, message="x" * 1_000_000)
    with pytest.raises(EnvironmentMissingError, match="the disk is full") as caught:
        store.record(large)
    assert "free some space" in caught.value.hint
    assert store.events(run) == []
    limit(store, size + 1000)
    store.record(large)
    assert [event for _, event in store.events(run)] == [large]


def limit(store: Store, pages: int) -> None:
    with store.notes.reading() as database:
        database.execute(f"PRAGMA max_page_count = {pages}")


OPEN_AS_NOBODY = """
import os, sys
from pathlib import Path
from runner.errors import EnvironmentMissingError
from runner.events import Note
from runner.store import Store

# Relative to the current folder, because others may not enter the folders above it.
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)
try:
    with Store.open(Path("home")) as store:
        store.record(Note(run=1, time=1.0, message="x"))
except EnvironmentMissingError as error:
    print(error.message.split(" (")[0], "|", error.hint)
"""


@pytest.mark.parametrize(
    ("folder", "file", "expected"),
    [
        (0o555, None, "cannot write to home/pipe.db | make the folder writable"),
        (0o555, 0o444, "the database home/pipe.db "),
        (0o777, 0o444, "the database home/pipe.db "),
        (0o555, 0o666, "the database home/pipe.db "),
        (0o755, 0o000, "the database home/pipe.db cannot be opened | make its folder writable"),
    ],
)
def test_what_may_not_be_written_is_a_clear_error(
    tmp_path: Path, folder: int, file: int | None, expected: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if file is not None:
        Store.open(home).close()
        (home / "pipe.db").chmod(file)
    tmp_path.chmod(0o755)
    home.chmod(folder)
    assert python(OPEN_AS_NOBODY, tmp_path).startswith(expected)
    home.chmod(0o755)


def test_a_home_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(EnvironmentMissingError, match="cannot write to"):
        Store.open(tmp_path / "home")


# -- transactions --


def test_an_error_undoes_the_transaction(store: Store, run: int) -> None:
    note = happened.Note(run=run, time=1.0, message="x")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(store, note)
    assert store.events(run) == []
    store.record(note)
    assert [event for _, event in store.events(run)] == [note]


def write_and_fail(store: Store, event: happened.Event) -> None:
    with store.promises.writing() as database:
        projection.write(database, [event])
        raise ZeroDivisionError


def test_a_bug_of_ours_is_not_blamed_on_the_machine(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError), store.notes.writing() as database:
        database.execute("SELECT nothing FROM nowhere")


def test_a_reader_sees_one_state_while_another_writes(store: Store, run: int) -> None:
    count = "SELECT count(*) FROM event"
    with store.promises.reading() as database:
        before = database.execute(count).fetchone()[0]
        store.record(happened.Note(run=run, time=1.0, message="x"))
        assert database.execute(count).fetchone()[0] == before
    with store.promises.reading() as database:
        assert database.execute(count).fetchone()[0] == before + 1


def test_a_writer_waits_for_another_one(store: Store, run: int) -> None:
    other = threading.Thread(
        target=store.record, args=(happened.Note(run=run, time=1.0, message="x"),)
    )
    with store.promises.writing():
        other.start()
        other.join(timeout=0.05)
        assert other.is_alive()
    other.join()
    assert len(store.events(run)) == 1


def test_a_writer_that_never_ends_is_a_clear_error(store: Store) -> None:
    impatient = SqliteConnection(store.home / "pipe.db", durable=False, patience=0.01)
    with (
        store.promises.writing(),
        pytest.raises(EnvironmentMissingError, match="is locked"),
        impatient.writing(),
    ):
        pass
    with impatient.writing():
        pass
    impatient.close()


def test_threads_share_a_store(store: Store, run: int) -> None:
    def record(number: int) -> None:
        for n in range(100):
            store.record(happened.Note(run=run, time=float(n), message=str(number)))

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.events(run)
    assert len(found) == 400
    for number in range(4):
        times = [event.time for _, event in found if event_text(event) == str(number)]
        assert times == [float(n) for n in range(100)]


def event_text(event: happened.Event) -> str:
    assert isinstance(event, happened.Note)
    return event.message


# -- events and what follows from them --

PLACE = Position("ci.yaml", 4, 9, 3)
OF_STEP: dict[str, Any] = {"time": 5.0, "job": "build", "attempt": 1, "step": 1}


def step_started(run: int, **changes: Any) -> happened.StepStarted:
    return happened.StepStarted(
        **{"run": run, **OF_STEP, "id": "make", "name": "Make", "position": PLACE, **changes}
    )


def step_finished(run: int, **changes: Any) -> happened.StepFinished:
    values = {"outcome": "failure", "conclusion": "success", "exit_code": 2, "reason": "why"}
    return happened.StepFinished(
        **{"run": run, **OF_STEP, "id": "make", "name": "Make it", **values, **changes}
    )


@pytest.mark.parametrize(
    "event",
    [
        happened.Note(run=1, time=1.5, message="ü\n\x00", level="warning", job="build"),
        step_started(1),
        step_finished(1, position=PLACE),
        happened.Annotation(run=1, **OF_STEP, level="error", message="m", file="a.c", line=3),
        happened.SummaryWritten(run=1, **OF_STEP, text="# Done"),
        happened.ImagePulling(run=1, time=1.0, job="build", image="x", done=True),
        happened.JobStarted(run=1, time=1.0, job="build", name="Build", worker="w", image="i"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_comes_back_as_it_was(store: Store, run: int, event: happened.Event) -> None:
    lease_build(store, run)
    store.record(event)
    *_, (_, last) = store.events(run)
    assert last == event
    [*_, row] = rows(store, "SELECT * FROM event ORDER BY seq")
    assert json.loads(row["data"]) == happened.to_json(event)
    assert (row["kind"], row["time"]) == (type(event).__name__, event.time)


@pytest.mark.parametrize(
    "event",
    [
        happened.OutputWritten(run=1, **OF_STEP, offset=0, length=3),
        happened.ImagePulling(run=1, time=1.0, job="build", image="x", current=1, total=2),
    ],
    ids=lambda event: type(event).__name__,
)
def test_progress_is_not_kept(store: Store, run: int, event: happened.Event) -> None:
    store.record(event)
    assert store.events(run) == []


@pytest.mark.parametrize(
    "event",
    [
        happened.RunStarted(run=1, time=1.0, name="CI", file="ci.yaml", jobs=1),
        happened.RunFinished(run=1, time=1.0, result="success"),
        happened.JobQueued(run=1, time=1.0, job="build", name="Build"),
        happened.JobFinished(run=1, time=1.0, job="build", name="Build", result="success"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_the_queue_decides_only_the_queue_records(
    store: Store, run: int, event: happened.Event
) -> None:
    with pytest.raises(PipeError, match="recorded by the queue"):
        store.record(event)


def test_events_are_read_after_the_last_one_seen(store: Store, run: int) -> None:
    other = insert(store)
    for number, message in [(run, "a"), (other, "b"), (run, "c"), (run, "d")]:
        store.record(happened.Note(run=number, time=1.0, message=message))
    (first, _), *rest = store.events(run)
    assert [event_text(event) for _, event in rest] == ["c", "d"]
    assert store.events(run, first) == rest
    assert store.events(run, rest[-1][0]) == []


def test_neither_seq_nor_run_numbers_are_used_again(store: Store, run: int) -> None:
    store.record(happened.Note(run=run, time=1.0, message="a"))
    [(seq, _)] = store.events(run)
    with store.promises.writing() as database:
        database.execute("DELETE FROM run")
    assert rows(store, "SELECT * FROM event") == []
    assert hot.next_numbers(store.notes, "/project", "ci.yaml") == (run + 1, 2)
    again = insert(store)
    store.record(happened.Note(run=again, time=1.0, message="b"))
    assert (again, store.events(again)[0][0]) == (run + 1, seq + 1)


def test_removing_a_run_removes_all_that_belongs_to_it(store: Store, run: int) -> None:
    lease_build(store, run)
    store.record(step_started(run))
    store.record(happened.Annotation(run=run, **OF_STEP, level="error", message="m"))
    with store.promises.writing() as database:
        database.execute("DELETE FROM run WHERE id = :run", {"run": run})
    for table in ("submission", "job", "attempt", "step", "annotation", "event"):
        assert rows(store, f"SELECT * FROM {table}") == []


def test_a_step_of_an_attempt_that_nobody_has_is_refused_whole(store: Store, run: int) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.record(step_started(run))
    assert store.events(run) == []


# -- listings --


def test_a_run_that_started_and_ended_a_step(store: Store, run: int) -> None:
    lease_build(store, run)
    store.record(
        happened.JobStarted(run=run, time=3.0, job="build", name="Build", worker="me", image="i")
    )
    store.record(step_started(run))
    store.record(step_finished(run, time=6.0))
    store.record(step_finished(run, step=2, id="skip", outcome="skipped", conclusion="skipped"))
    store.record(
        happened.Annotation(run=run, **OF_STEP, level="error", message="m", file="a.c", column=7)
    )
    detail = reads.run(store, run)
    assert (detail.run.state, detail.run.started_at) == ("running", 2.0)
    assert [(job.key, job.state) for job in detail.jobs] == [
        ("build", "running"),
        ("test", "blocked"),
    ]
    [attempt] = detail.attempts
    assert (attempt.number, attempt.worker, attempt.image, attempt.started_at) == (1, "me", "i", 2)
    first, second = detail.steps
    assert first == tables.StepRow(
        run=run,
        job="build",
        attempt=1,
        number=1,
        id="make",
        name="Make it",
        position="ci.yaml:4:9",
        started_at=5.0,
        finished_at=6.0,
        outcome="failure",
        conclusion="success",
        exit_code=2,
        reason="why",
    )
    assert (second.started_at, second.conclusion) == (None, "skipped")
    [annotation] = detail.annotations
    assert (annotation.level, annotation.file, annotation.column) == ("error", "a.c", 7)


def test_a_run_that_does_not_exist(store: Store) -> None:
    for read in (reads.run, lambda store, run: hot.load_run(store.notes, run)):
        with pytest.raises(InvalidInputError, match="there is no run 9"):
            read(store, 9)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"before": 3}, [2, 1]),
        ({"file": "b.yaml"}, [3, 2]),
        ({"file": "b.yaml", "before": 3}, [2]),
        ({"state": "running"}, [1]),
        ({"state": "finished"}, []),
    ],
)
def test_listing_runs(store: Store, wanted: dict[str, Any], expected: list[int]) -> None:
    for file in ("a.yaml", "b.yaml", "b.yaml", "a.yaml"):
        insert(store, Submission(file=file, text="", project="/project", name="CI"))
    lease_build(store, 1)
    assert [run.id for run in reads.runs(store, **wanted)] == expected


def test_run_numbers_count_by_project_and_file(store: Store) -> None:
    for project, file in [("/p", "a"), ("/p", "b"), ("/q", "a"), ("/p", "a")]:
        insert(store, Submission(file=file, text="", project=project, name="CI"))
    assert [run.run_number for run in reversed(reads.runs(store))] == [1, 1, 1, 2]


def test_listings_cannot_write(store: Store) -> None:
    with store.engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM run")


# -- whole runs --


def test_a_run_is_read_as_it_was_written(store: Store) -> None:
    submission = Submission(
        file="ci.yaml",
        text="on: push",
        project="/project",
        name="CI",
        trigger={"event": "push", "payload": {"n": 1}},
        contexts={"github": {"ref": "main"}, "inputs": {"a": True}, "vars": {}},
        snapshot={"id": "abc"},
        options={"bind": False},
        process="1:2:3",
        priority=7,
        owner="ada",
        queue="deployments",
        submission_key="nightly",
        time_limit=60.0,
        rerun_of=3,
    )
    number = insert(store, submission)
    found = hot.load_run(store.notes, number)
    assert (found.submission, found.plan, found.version) == (submission, PLAN, 0)
    assert [(job.pool, job.rank) for job in found.jobs.values()] == [("", 1.0 - 7 * 36)] * 2


def test_a_run_that_changed_meanwhile_is_not_overwritten(store: Store, run: int) -> None:
    before = hot.load_run(store.notes, run)
    lease_build(store, run)
    assert not hot.save(store.promises, [RunEdit(before, before, ())])
    now = hot.load_run(store.notes, run)
    assert hot.save(store.promises, [RunEdit(now, now, ())])
    assert hot.load_run(store.notes, run).version == now.version + 1


# -- processes --


def test_this_process_is_alive() -> None:
    assert process.is_alive(process.process_identity())


def test_a_process_that_was_killed_is_not_alive_even_before_it_is_reaped() -> None:
    code = (
        "import sys; from runner.store.process import process_identity;"
        "print(process_identity(), flush=True); sys.stdin.read()"
    )
    with start(code) as other:
        assert other.stdout
        identity = other.stdout.readline().strip()
        assert process.is_alive(identity)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_alive(identity)
    assert not process.is_alive(identity)


def test_a_process_number_that_was_used_again_is_another_process() -> None:
    pid, start_time, boot = process.process_identity().split(":")
    assert not process.is_alive(f"{pid}:{int(start_time) - 1}:{boot}")
    assert not process.is_alive(f"{pid}:{start_time}:another-boot/{boot.partition('/')[2]}")


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_start_times_where_there_is_no_proc() -> None:
    ours = process._listed_start_time(os.getpid())
    assert ours == process._listed_start_time(os.getpid()) != ""
    assert process._listed_start_time(999999999) == ""


def test_a_process_of_another_container_counts_as_alive() -> None:
    boot, container, machine = process._parts(process.process_identity().rpartition(":")[2])
    other = f"999999999:1:{boot}/1@{machine}"
    assert (process.is_alive(other), process.is_visible(other)) == (True, False)
    assert process.is_visible(process.process_identity())
    before = f"999999999:1:another-boot/1@{machine}"
    assert (process.is_alive(before), process.is_visible(before)) == (False, True)
    assert container


@pytest.mark.parametrize("boot", ["another-boot/1", ""])
def test_a_process_of_another_machine_counts_as_alive(boot: str) -> None:
    """It has another boot, as one of this machine before its last restart had."""
    other = f"{os.getpid()}:1:{boot}@another-machine"
    assert (process.is_alive(other), process.is_visible(other)) == (True, False)
