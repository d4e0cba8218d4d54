"""The store on PostgreSQL: its tables, what its server may do to it, and who hears of what."""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from runner import events as happened
from runner import queue
from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.plan import plan
from runner.queue import JobOutcome
from runner.store import Store, hot, leases, reads, schema, tables, workers
from runner.store.connection import UndoneError, whole
from runner.store.postgres import PostgresConnection
from runner.store.postgres.address import Address
from runner.store.postgres.connection import WRITER
from runner.store.postgres.text import translated
from tests.conftest import RunPipe
from tests.servers import Server, running
from tests.test_store import HOT, insert

CONTEXTS: dict[str, Any] = {"github": {}, "inputs": {}, "vars": {}}
TEXT = "on: push\njobs:\n" + "".join(
    f"  job{n}: {{runs-on: ubuntu-latest, steps: [{{run: make}}]}}\n" for n in range(3)
)


@pytest.fixture(params=["postgres"])
def database_url(database_url: str) -> str:
    return database_url


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def note(run: int, message: str) -> happened.Note:
    return happened.Note(run=run, time=1.0, message=message)


# -- the tables --


def test_migrations_lead_to_the_tables(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        assert compare_metadata(context, tables.METADATA) == []


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or name not in ("receipt", "last_id")


def test_text_is_compared_byte_by_byte(store: Store) -> None:
    with store.notes.reading() as database:
        [found] = database.execute(
            "SELECT count(*) AS others FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'character varying'"
            " AND collation_name IS DISTINCT FROM 'C' AND table_name NOT LIKE 'alembic%'"
        ).fetchall()
    assert found["others"] == 0


@pytest.mark.parametrize("name", HOT)
def test_plain_sql_fits_the_tables(store: Store, name: str) -> None:
    sql = HOT[name]
    values: dict[str, Any] = dict.fromkeys(re.findall(r":(\w+)", sql))
    # Never empty, and its type cannot be told from where it is used.
    values |= {"day": ""}
    with store.notes.writing() as database:
        assert database.execute(f"EXPLAIN {sql}", values).fetchall()


def test_several_processes_may_create_the_tables_at_once(server: Server, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from runner.store import Store; sys.stdin.read();"
        "store = Store.open(Path(sys.argv[1]), sys.argv[2]); print(store.events(1)); store.close()"
    )
    url = server.new_database()
    started = [start(code, tmp_path, url) for _ in range(3)]
    assert [each.communicate(timeout=60)[0] for each in started] == ["[]\n"] * 3


def test_a_newer_database_is_left_alone(tmp_path: Path, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    try:
        with pytest.raises(EnvironmentMissingError, match="written by a newer version") as caught:
            Store.open(tmp_path, database_url)
    finally:
        with psycopg.connect(database_url) as connection:
            version = f"{schema.SCHEMA_VERSION:04}"
            connection.execute("UPDATE alembic_version SET version_num = %s", (version,))
    assert "PIPE_DATABASE_URL" in caught.value.hint


# -- what is written --


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT :a, :b_2", "SELECT %(a)s, %(b_2)s"),
        ("SELECT ':a' || :a::text", "SELECT ':a' || %(a)s::text"),
        ("SELECT '100%' WHERE 7 % :n = 1", "SELECT '100%%' WHERE 7 %% %(n)s = 1"),
        ("""SELECT 'it''s :a', "a:b" """, """SELECT 'it''s :a', "a:b" """),
    ],
)
def test_values_are_named(sql: str, expected: str) -> None:
    assert translated(sql).decode() == expected


def test_text_that_cannot_be_kept_is_replaced(store: Store) -> None:
    with store.notes.writing() as database:
        values = {"text": "a\0b\udc80c", "n": 1 << 40, "truth": True, "nothing": None}
        [row] = database.execute(
            "SELECT :text AS text, :n AS n, :truth AS truth, CAST(:nothing AS text) AS nothing",
            values,
        ).fetchall()
    assert dict(row) == {**values, "text": "a�b?c"}


def test_an_event_with_nul_comes_back_as_it_was(store: Store) -> None:
    run = insert(store)
    event = note(run, "a\0b\udc80 ü 100% :x")
    store.record(event)
    assert [found for _, found in store.events(run)] == [event]


def test_numbers_of_runs_are_never_used_again(store: Store) -> None:
    assert [insert(store), insert(store)] == [1, 2]
    with store.promises.writing() as database:
        database.execute("DELETE FROM run")
    assert hot.next_numbers(store.notes, "/project", "ci.yaml") == (3, 3)
    assert insert(store) == 3


def test_what_is_promised_waits_for_the_disk_and_what_is_noted_does_not(store: Store) -> None:
    for connection, expected in [(store.promises, "on"), (store.notes, "off")]:
        for begin in (connection.writing, connection.touching):
            with begin() as database:
                [row] = database.execute("SHOW synchronous_commit").fetchall()
                assert row["synchronous_commit"] == expected


def test_a_writer_waits_for_another_one_and_a_heartbeat_does_not(store: Store) -> None:
    run = insert(store)
    record = workers.WorkerRecord("w", "1:2:3", "here", (), 1, "working", 1.0, 1.0)
    workers.register(store.notes, record)
    other = threading.Thread(target=store.record, args=(note(run, "x"),))
    with Store.open(store.home, str(store.location)) as another, another.promises.writing():
        assert workers.seen(store.notes, "w", "working", 5.0)
        assert not leases.renew(store.notes, run, "build", "token", 5.0)
        other.start()
        other.join(timeout=0.1)
        assert other.is_alive()
    other.join()
    assert len(store.events(run)) == 1


def test_a_reader_sees_one_state_while_another_writes(store: Store) -> None:
    run = insert(store)
    with store.promises.reading() as database:
        before = database.execute("SELECT * FROM event").fetchall()
        store.record(note(run, "x"))
        assert database.execute("SELECT * FROM event").fetchall() == before == []
    assert len(store.events(run)) == 1


def test_an_error_undoes_the_transaction(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        delete_and_fail(store, insert(store))
    assert len(reads.runs(store)) == 1


def delete_and_fail(store: Store, run: int) -> None:
    with store.promises.writing() as database:
        database.execute("DELETE FROM run WHERE id = :run", {"run": run})
        raise ZeroDivisionError


def test_a_bug_of_ours_is_not_blamed_on_the_server(store: Store) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), store.notes.writing() as database:
        database.execute("SELECT nothing FROM nowhere")


def test_an_error_that_nobody_asked_for_is_told_at_the_end(store: Store) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_twice(store)
    with store.notes.writing() as database:
        assert database.execute("UPDATE turn SET served = 7").rowcount == 0
        database.execute("INSERT INTO turn (owner, served) VALUES ('ada', 1)")
        assert database.execute("UPDATE turn SET served = 8").rowcount == 1


def add_twice(store: Store) -> None:
    with store.notes.writing() as database:
        for _ in range(2):
            database.execute("INSERT INTO turn (owner, served) VALUES ('ada', 1)")
        database.execute("UPDATE turn SET served = 7")


def test_listings_cannot_write(store: Store) -> None:
    with store.engine.connect() as connection, pytest.raises(Exception, match="read-only"):
        connection.exec_driver_sql("DELETE FROM run")


# -- time, and who wakes whom --


def test_the_time_is_that_of_the_server(store: Store) -> None:
    with store.notes.reading() as database:
        asked = "SELECT extract(epoch FROM clock_timestamp())::float8 AS now"
        [row] = database.execute(asked).fetchall()
    assert 0 <= store.now() - row["now"] < 1.0


def test_whoever_listens_on_another_machine_is_woken(store: Store, tmp_path: Path) -> None:
    # Another home: as on another machine, no datagram gets there.
    with (
        Store.open(tmp_path / "another", str(store.location)) as another,
        closing(another.listener()) as listener,
    ):
        assert hears(listener)  # what may have happened before it listened
        listener.calm()
        for _ in range(3):
            store.wake()
        assert hears(listener)
        listener.calm()
        listener.ring()
        assert hears(listener)


def test_whoever_is_told_directly_is_not_told_twice(store: Store) -> None:
    with closing(store.listener()) as listener, told(str(store.location)) as heard:
        assert hears(listener)
        listener.calm()
        store.wake()
        assert hears(listener)
        listener.calm()
        assert heard()
        assert not hears(listener, 0.1)


def test_what_was_to_be_told_is_told_before_the_end(store: Store, tmp_path: Path) -> None:
    with told(str(store.location)) as heard:
        with Store.open(tmp_path / "another", str(store.location)) as another:
            another.wake()
        assert heard()


def hears(listener: Any, seconds: float = 10.0) -> bool:
    return bool(select.select([listener], [], [], seconds)[0])


@contextmanager
def told(url: str) -> Iterator[Callable[[], bool]]:
    """Whether the server told everybody something."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("LISTEN pipe")
        yield lambda: bool(list(connection.notifies(timeout=10, stop_after=1)))


# -- a server that goes away --


def end_sessions(store: Store) -> None:
    """What a restart does to those who are connected."""
    with psycopg.connect(str(store.location), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )


def test_the_next_transaction_connects_again(store: Store) -> None:
    run = insert(store)
    end_sessions(store)
    store.record(note(run, "x"))
    assert insert(store) == run + 1
    assert len(reads.runs(store)) == 2
    end_sessions(store)
    assert len(reads.runs(store)) == 2


def test_a_transaction_that_is_cut_off_is_undone_and_done_again(store: Store) -> None:
    run, tries = insert(store), []

    @whole
    def write() -> None:
        tries.append(1)
        with store.promises.writing() as database:
            database.execute("UPDATE run SET name = name || '+' WHERE id = :run", {"run": run})
            if len(tries) == 1:
                end_sessions(store)

    write()
    assert (len(tries), reads.run(store, run).run.name) == (2, "CI+")


class Deaf(PostgresConnection):
    """The first COMMIT gets no answer; `kept`: whether it arrived."""

    def __init__(self, address: Address, *, kept: bool) -> None:
        super().__init__(address, durable=True)
        self.kept: bool | None = kept

    def _connected(self, patience: float) -> Any:
        return Cut(super()._connected(patience), self)


class Cut:
    """Loses the connection at COMMIT."""

    def __init__(self, link: Any, deaf: Deaf) -> None:
        self._link = link
        self._deaf = deaf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def execute(self, query: bytes, *arguments: Any, **options: Any) -> Any:
        kept = self._deaf.kept
        if not query.endswith(b"COMMIT") or kept is None:
            return self._link.execute(query, *arguments, **options)
        self._deaf.kept = None
        if kept:
            self._link.execute(query, *arguments, **options)
        # The server has not noticed yet that nobody is there.
        raise psycopg.OperationalError("the connection was cut")


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_without_an_answer_counts_if_it_was_kept(store: Store, kept: bool) -> None:
    deaf = Deaf(Address(str(store.location)), kept=kept)
    with closing(deaf):
        if kept:
            add_owner(deaf)
        else:
            with pytest.raises(UndoneError):
                add_owner(deaf)
        with deaf.reading() as database:
            found = [row["owner"] for row in database.execute("SELECT owner FROM turn")]
    assert found == (["ada"] if kept else [])


def add_owner(connection: PostgresConnection) -> None:
    with connection.writing() as database:
        database.execute("INSERT INTO turn (owner, served) VALUES ('ada', 1)")


def submit(store: Store, **changes: Any) -> int:
    values = {"file": "ci.yaml", "text": TEXT, "project": "/project", "name": "CI", **changes}
    first = plan(queue.load_pipeline("ci.yaml", TEXT), CONTEXTS)
    submission = queue.Submission(**values, contexts=CONTEXTS)
    return queue.enqueue(store, submission, first, store.now())


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_enters_once_and_a_result_is_told_once(store: Store, kept: bool) -> None:
    def cut() -> None:
        store.promises.close()
        store.promises = Deaf(Address(str(store.location)), kept=kept)

    cut()
    run = submit(store)
    assert [each.id for each in reads.runs(store)] == [run]
    [lease] = queue.lease(store, "me", now=store.now())
    cut()
    told = queue.finish(store, lease, JobOutcome("success"), store.now())
    ends = [event for _, event in store.events(run) if isinstance(event, happened.JobFinished)]
    assert [event for event in told if isinstance(event, happened.JobFinished)] == ends
    assert len(ends) == 1


@pytest.fixture
def own_server() -> Iterator[Server]:
    """One that may be stopped, and keeps its promises."""
    with running(()) as started:
        yield started


def test_nothing_is_lost_or_done_twice_when_the_server_restarts(
    own_server: Server, tmp_path: Path
) -> None:
    url = own_server.new_database()
    Store.open(tmp_path, url).close()
    enough = threading.Event()
    acknowledged: list[list[tuple[str, int, str]]] = [[] for _ in range(3)]
    crashes: list[BaseException] = []

    def work(name: str, told: list[tuple[str, int, str]]) -> None:
        try:
            with Store.open(tmp_path, url) as store:
                while not enough.is_set():
                    told.append(("entered", submit(store), ""))
                    for lease in queue.lease(store, name, limit=2, now=store.now()):
                        queue.renew(store, lease, store.now())
                        with_suppressed_loss(store, lease, told)
        except BaseException as error:
            crashes.append(error)

    threads = [
        threading.Thread(target=work, args=(f"worker{n}", told))
        for n, told in enumerate(acknowledged)
    ]
    for thread in threads:
        thread.start()
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT):
        wait_for_more(acknowledged)
        own_server.stop(how)
        own_server.start()
    wait_for_more(acknowledged)
    enough.set()
    for thread in threads:
        thread.join()
    assert crashes == []
    with Store.open(tmp_path, url) as store:
        check_acknowledged(store, [each for told in acknowledged for each in told])


def with_suppressed_loss(
    store: Store, lease: queue.Lease, told: list[tuple[str, int, str]]
) -> None:
    """A lease is no promise: a crash may forget it, and then somebody else may have the job."""
    try:
        queue.finish(store, lease, JobOutcome("success"), store.now())
    except queue.LeaseLostError:
        return
    told.append(("finished", lease.run, lease.key))


def wait_for_more(acknowledged: list[list[tuple[str, int, str]]]) -> None:
    enough = sum(map(len, acknowledged)) + 30
    deadline = time.monotonic() + 60
    while sum(map(len, acknowledged)) < enough:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def check_acknowledged(store: Store, acknowledged: list[tuple[str, int, str]]) -> None:
    assert len(set(acknowledged)) == len(acknowledged)
    entered = [run for word, run, _ in acknowledged if word == "entered"]
    runs = reads.runs(store, limit=100_000)
    assert sorted(run.id for run in runs) == sorted(entered)
    ends: list[tuple[int, str]] = []
    for run in entered:
        found = [event for _, event in store.events(run)]
        ends += [(run, each.job) for each in found if isinstance(each, happened.JobFinished)]
        assert sum(isinstance(each, happened.RunFinished) for each in found) <= 1
    assert sorted(ends) == sorted((run, key) for word, run, key in acknowledged if key)


# -- what the user is told --


def test_a_server_that_is_not_there_is_a_clear_error(tmp_path: Path, run_pipe: RunPipe) -> None:
    url = "postgresql://ada:geheim@127.0.0.1:1/pipe?password=geheim"
    ended = run_pipe("runs", env={"PIPE_DATABASE_URL": url})
    assert ended.exit_code == 4
    assert "cannot connect to postgresql://ada@127.0.0.1:1/pipe (" in ended.stderr
    assert "start the server" in ended.stderr
    assert "geheim" not in ended.stdout + ended.stderr


def test_a_database_that_is_not_there_is_a_clear_error(server: Server, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissingError, match="nowhere"):
        Store.open(tmp_path, server.url("nowhere"))


@pytest.mark.parametrize("url", ["mysql://host/pipe", "/var/lib/pipe", "postgresql://host:x:y/%"])
def test_a_url_that_cannot_be_used_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInputError, match="PIPE_DATABASE_URL"):
        Store.open(tmp_path, url)


def test_the_driver_is_an_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None; from pathlib import Path;"
        "from runner.store import Store; from runner.errors import EnvironmentMissingError\n"
        "try: Store.open(Path(sys.argv[1]), sys.argv[2])\n"
        "except EnvironmentMissingError as error: print(error.hint)"
    )
    started = start(code, tmp_path, "postgresql://host/pipe")
    assert started.communicate()[0] == "pip install 'pipe-runner[postgres]'\n"


def test_a_writer_that_never_ends_is_a_clear_error(store: Store) -> None:
    with closing(PostgresConnection(Address(str(store.location)), durable=False)) as impatient:
        with impatient.reading() as database:
            database.execute("SELECT 1 AS one")
        impatient._link.execute("SET lock_timeout = '10ms'")  # type: ignore[union-attr]
        with (
            store.promises.writing(),
            pytest.raises(EnvironmentMissingError, match="is locked"),
            impatient.writing(),
        ):
            pass
        with impatient.writing():
            pass


def test_doctor_names_the_database(store: Store, run_pipe: RunPipe) -> None:
    assert f"store: {store.location}" in run_pipe("doctor").stdout


def test_the_lock_is_held_by_writers_alone(store: Store) -> None:
    held = (
        f"SELECT count(*) AS found FROM pg_locks WHERE locktype = 'advisory' AND objid = {WRITER}"
    )
    for begin, expected in [
        (store.promises.writing, 1),
        (store.notes.writing, 1),
        (store.notes.touching, 0),
        (store.notes.reading, 0),
    ]:
        with begin() as database:
            assert database.execute(held).fetchall()[0]["found"] == expected


def start(code: str, home: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
