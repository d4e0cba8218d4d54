"""What `pipe doctor` says of the database, the queue and files, and what `--clean` does about it."""

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.cli.doctor.database import database
from runner.cli.doctor.kept import storage
from runner.project import find_project, home_folder, keep_snapshot, take_snapshot
from runner.project.kept import UNCLAIMED
from runner.store import Store
from runner.store.finding import Finding
from runner.store.limits import Scope, all_scopes, change
from runner.store.postgres.health import clock
from runner.store.sqlite.health import version
from runner.store.workers import all_workers
from tests.conftest import RunPipe
from tests.queued import gone, register, submit, take

pytestmark = pytest.mark.timeout(120)

Told = dict[str, Finding]


@pytest.fixture
def store(pipe_home: Path, database_url: str) -> Any:
    with Store.open(pipe_home, database_url) as opened:
        yield opened


def doctor(*, clean: bool = False) -> Told:
    """Its findings about the database and the files, by name."""
    home = home_folder()
    found = [*database(home, clean), *storage(home, clean)]
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def levels(told: Told, *names: str) -> list[str]:
    return [told[name].level for name in names]


QUEUE = ("store", "leases", "workers", "counts", "files", "sources")


def test_all_is_well_with_what_is_new_and_what_works(store: Store) -> None:
    assert levels(doctor(), *QUEUE) == ["ok"] * len(QUEUE)
    register(store, "w", seen_at=store.now())
    submit(store, now=store.now())
    take(store, now=store.now())
    told = doctor(clean=True)
    assert levels(told, *QUEUE) == ["ok"] * len(QUEUE)
    assert told["workers"].text == "1 work"
    assert len(all_workers(store.notes)) == 1


def test_the_command_exits_with_4_for_what_is_essential(run_pipe: RunPipe) -> None:
    ended = run_pipe("doctor", "--json", env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    told = {each["name"]: each["level"] for each in json.loads(ended.stdout)}
    assert (ended.exit_code, told["engine"], told["integrity"]) == (4, "error", "ok")


# -- the queue


def test_what_a_dead_worker_left_is_told_and_goes_on_with_clean(store: Store) -> None:
    now = store.now()
    register(store, "dead", process=gone(), seen_at=now)
    run = submit(store, now=now)
    [lease] = take(store, worker="dead", now=now)
    told = doctor()
    assert (
        told["leases"].text == f"held by processes that are gone: job `build` of run {run} (dead)"
    )
    assert told["workers"].text == "dead: gone without a word"
    assert levels(told, "leases", "workers") == ["warning", "warning"]
    assert queue.renew(store, lease, now), "it was only looked at"
    told = doctor(clean=True)
    assert told["cleaned"].text.startswith("1 jobs go on")
    assert levels(told, "leases", "workers") == ["ok", "ok"]
    assert all_workers(store.notes) == []
    assert not queue.renew(store, lease, now)


def test_a_lease_of_nobody_is_told_when_it_is_over(store: Store) -> None:
    submit(store, now=store.now() - 100)
    take(store, worker="unknown", now=store.now() - 100)
    text = doctor()["leases"].text
    assert "(unknown, for 1m" in text


def test_who_lives_and_is_silent_is_told_apart(store: Store) -> None:
    register(store, "stopped", seen_at=store.now() - 100)
    run = submit(store, now=store.now() - 100)
    [lease] = take(store, worker="stopped", now=store.now() - 100)
    told = doctor(clean=True)
    assert told["silent"].text.startswith(f"no sign of life of who runs job `build` of run {run}")
    assert told["leases"].level == "ok"
    assert queue.renew(store, lease, store.now())


def test_a_wrong_count_is_told_and_corrected_with_clean(store: Store) -> None:
    change(store.promises, Scope("queue", "default", maximum=2), store.now())
    with store.promises.writing() as database:
        database.execute("UPDATE scope SET running = 3 WHERE name = 'default'")
    text = "queue:default counts 3 runs, 0 run"
    assert doctor()["counts"].text == text
    assert doctor()["counts"].text == text
    told = doctor(clean=True)
    assert told["cleaned"].text.endswith("1 counts corrected")
    assert told["counts"].level == "ok"
    assert [s.running for s in all_scopes(store.notes) if s.name == "default"] == [0]


# -- files


def test_files_of_runs_that_do_not_exist_go_with_clean(store: Store, pipe_home: Path) -> None:
    run = submit(store, now=store.now())
    kept, orphan, artifacts = (
        pipe_home / name for name in (f"logs/{run}", "logs/77", "artifacts/78")
    )
    for folder in (kept, orphan, artifacts, pipe_home / "logs" / "notes"):
        folder.mkdir(parents=True)
    assert doctor()["files"].text == "of 2 runs that do not exist, 77 the first"
    assert orphan.is_dir()
    assert doctor(clean=True)["files"].level == "ok"
    assert [kept.is_dir(), orphan.is_dir(), artifacts.is_dir()] == [True, False, False]
    assert (pipe_home / "logs" / "notes").is_dir()


def test_sources_that_no_run_needs_go_with_clean(pipe_home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.yaml").write_text("on: push")
    taken = take_snapshot(find_project(project / "a.yaml"), pipe_home, pipe_home)
    keep_snapshot(taken, portable=False).release()
    assert doctor()["sources"].level == "ok", "somebody may be about to queue its run"
    [pin] = (pipe_home / "snapshots").glob("*/*.pin-*")
    long_ago = time.time() - UNCLAIMED - 60
    os.utime(pin, (long_ago, long_ago))
    assert doctor()["sources"].text == "1 are kept that no run needs"
    assert pin.exists()
    assert doctor(clean=True)["sources"].text == "let 1 go that no run needs"
    assert not pin.exists()


# -- SQLite


@pytest.mark.parametrize(
    ("found", "level"),
    [
        ((3, 40, 1), "warning"),
        ((3, 44, 5), "warning"),
        ((3, 44, 6), "ok"),
        ((3, 45, 9), "warning"),
        ((3, 50, 7), "ok"),
        ((3, 51, 2), "warning"),
        ((3, 51, 3), "ok"),
        ((3, 53, 0), "ok"),
    ],
)
def test_versions_of_sqlite(found: tuple[int, int, int], level: str) -> None:
    told = version(found)
    assert told.level == level
    assert told.text.startswith(".".join(map(str, found)))
    assert bool(told.hint) == (level == "warning")


def test_a_damaged_file_is_an_error(pipe_home: Path) -> None:
    with Store.open(pipe_home) as store:
        for _ in range(40):
            submit(store, now=store.now())
    file = pipe_home / "pipe.db"
    with closing(sqlite3.connect(file)) as database:
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'job_ready'")
    with file.open("r+b") as opened:
        opened.seek((page[0] - 1) * 4096 + 100)
        opened.write(b"\xff" * 3900)
    told = doctor()
    assert told["integrity"].level == "error"
    assert "job_ready" in told["integrity"].text or "age" in told["integrity"].text
    assert ".recover" in told["integrity"].hint


def test_rows_without_their_run_are_an_error(pipe_home: Path) -> None:
    with Store.open(pipe_home) as store:
        submit(store, now=store.now())
    with closing(sqlite3.connect(pipe_home / "pipe.db")) as database:
        database.execute("DELETE FROM run")
        database.commit()
    told = doctor()
    assert told["references"].level == "error"
    assert "of job" in told["references"].text


def test_a_file_that_is_no_database_is_told_once(pipe_home: Path) -> None:
    pipe_home.mkdir(exist_ok=True)
    (pipe_home / "pipe.db").write_text("not a database at all" * 100)
    told = doctor()
    assert told["store"].level == "error"
    assert "files" not in told


# -- PostgreSQL


def test_a_server(emptied: Any, monkeypatch: pytest.MonkeyPatch, pipe_home: Path) -> None:
    del pipe_home
    monkeypatch.setenv("PIPE_DATABASE_URL", emptied.empty())
    told = doctor()
    assert levels(told, "server", "clock", "messages") == ["ok"] * 3
    assert told["server"].text.startswith("PostgreSQL ")
    assert told["messages"].text.startswith("heard after ")
    assert "sqlite" not in told


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (0.25, "+0.250 s from this machine's"),
        (60.0, "the server's is 60 s ahead of this machine's"),
        (-9.0, "the server's is 9 s behind this machine's"),
    ],
)
def test_clocks(ahead: float, text: str) -> None:
    told = clock(ahead)
    assert (told.text, told.level) == (text, "ok" if abs(ahead) < 1 else "warning")
