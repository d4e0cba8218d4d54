"""Databases of released versions: what they hold is kept, readable, and goes on.

Those in `tests/databases` were written by these versions: a run that succeeded, and one whose process
was killed, from the second on with a group that it holds, in the third with a call.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import queue
from runner.cli import group
from runner.events import JobFinished, RunFinished, RunStarted
from runner.store import Store, hot, lines, reads
from runner.store.schema import SCHEMA_VERSION
from tests.conftest import RunPipe
from tests.queued import submit, take

DATABASES = Path(__file__).parent / "databases"
VERSIONS = sorted(int(file.stem) for file in DATABASES.glob("*.sql"))
#: How columns are called since version 4, by table and the name that they had.
RENAMED = {("run", "owner"): "process", ("job", "queue"): "pool"}
#: Columns whose meaning is gone: all that was leased in that order has ended.
GONE = {("job", "rank")}
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest, pipe_home: Path) -> int:
    """The home has a database of that version."""
    pipe_home.mkdir()
    number: int = request.param
    with closing(sqlite3.connect(pipe_home / "pipe.db")) as database:
        database.executescript((DATABASES / f"{number:04}.sql").read_text("utf-8"))
        assert database.execute("PRAGMA user_version").fetchone() == (number,)
        database.execute("PRAGMA journal_mode = WAL")
    return number


def pipe(*arguments: object) -> Any:
    """What the command prints with `--json`."""
    ended = CliRunner().invoke(group, [*map(str, arguments), "--json"])
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def rows(home: Path) -> Rows:
    """All that is in the database, table by table."""
    with closing(sqlite3.connect(home / "pipe.db")) as database:
        database.row_factory = sqlite3.Row
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name != "alembic_version"
        ]
        return {
            name: [dict(row) for row in database.execute(f"SELECT * FROM {name}")]
            for name in tables
        }


def today(version: int, table: str, row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row that are there today, under their names of today."""
    if version >= 4:
        return row
    kept = {column: value for column, value in row.items() if (table, column) not in GONE}
    return {RENAMED.get((table, column), column): value for column, value in kept.items()}


def test_every_released_version_has_a_database() -> None:
    assert list(range(1, SCHEMA_VERSION)) == VERSIONS


def test_every_value_is_kept(version: int, pipe_home: Path) -> None:
    before = rows(pipe_home)
    Store.open(pipe_home).close()
    after = rows(pipe_home)
    for table, found in before.items():
        expected = [today(version, table, row) for row in found]
        kept = [{name: row[name] for name in expected[0]} for row in after[table] if expected]
        assert kept[: len(expected)] == expected, table
    assert len(before["run"]) == len(after["run"]) == 2
    assert len(before["event"]) == len(after["event"]) > 20


def test_the_commands_read_it_and_end_what_died(version: int) -> None:
    second, first = pipe("runs")
    assert (first["result"], first["file"]) == ("success", "ci.yaml")
    assert (second["result"], second["reason"]) == ("failure", "lost")
    jobs = {job["key"]: job for job in pipe("show", 1)["jobs"]}
    assert [jobs[key]["result"] for key in ("build", "test")] == ["success", "success"]
    assert jobs["build"]["outputs"] == {"made": "thing"}
    ended = {job["key"]: job["result"] for job in pipe("show", 2)["jobs"]}
    assert (ended["first"], ended["slow"]) == ("success", "failure")
    assert ended["last"] in ("cancelled", "skipped")
    if version >= 3:
        assert ended["call / deep"] == "success"


def test_what_it_holds_is_understood(version: int, pipe_home: Path) -> None:
    with Store.open(pipe_home) as store:
        events = [event for _, event in store.events(1)]
        assert isinstance(events[1], RunStarted)
        assert isinstance(events[-1], RunFinished)
        assert sum(isinstance(event, JobFinished) for event in events) == 2
        detail = reads.run(store, 1)
        assert len(detail.attempts) == 2
        assert {step.exit_code for step in detail.steps} == {None, 0, 3}
        assert [note.message for note in detail.annotations] == ["look here"]
        stored = hot.load_run(store.notes, 2)
        pipeline = queue.load_pipeline(
            stored.submission.file, stored.submission.text, stored.submission.called
        )
        assert set(pipeline.jobs) >= {"first", "slow", "last"}
        group_of_run = list(lines.groups(store.notes, 2).values())
        assert group_of_run == (["DEPLOY"] if version >= 2 else [])


def test_new_runs_come_after_the_old_ones(version: int, pipe_home: Path) -> None:
    with Store.open(pipe_home) as store:
        now = store.now()
        run = submit(store, now=now)
        assert run == 3
        assert [lease.run for lease in take(store, now=now)] == [3]
        queue.rescue(store, now)
        assert lines.waits(store.notes) == []
        assert lines.groups(store.notes, 2) == {}


@pytest.mark.usefixtures("version")
def test_what_cannot_be_run_again_says_why(run_pipe: RunPipe) -> None:
    ended = run_pipe("rerun", "1")
    assert (ended.exit_code, ended.stdout) == (4, "")
    assert "the folder of run 1 is gone: /home/ada/shop" in ended.stderr
