"""Two machines, each with a home of its own, and one storage."""

import errno
import fcntl
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from runner.cli import sharing
from runner.errors import EnvironmentMissingError
from runner.project import home_folder, storage_folder
from runner.storage import CacheScope, CorruptBlobError, LogWriter, Origin, Storage
from runner.storage.belonging import belong_to, written_once
from runner.storage.untrusted import Tally
from runner.store import Store
from runner.store.identity import identity
from tests.conftest import RunPipe
from tests.servers import Server

HELLO = """\
on: push
jobs:
  hello:
    runs-on: self-hosted
    steps:
      - run: echo hello
"""
MOUNTS = """\
24 1 0:22 / / rw shared:1 - ext4 /dev/vda rw
25 24 0:23 / /mnt/with\\040space rw,noatime shared:2 - nfs4 host:/a rw,vers=4.2,local_lock=none
26 24 0:24 / /mnt/local rw shared:3 - nfs host:/b rw,vers=3,nolock
"""


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shared"
    monkeypatch.setenv("PIPE_STORAGE", str(folder))
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> str:
    (tmp_path / "hello.yaml").write_text(HELLO)
    return "hello.yaml"


# -- which folder it is


def test_without_a_choice_it_is_the_home(pipe_home: Path) -> None:
    assert storage_folder() == pipe_home == home_folder()


def test_it_is_private_and_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPE_STORAGE", "bytes")
    assert storage_folder() == tmp_path / "bytes"
    assert (tmp_path / "bytes").stat().st_mode & 0o777 == 0o700


def test_bytes_are_there_and_the_rest_is_at_home(
    run_pipe: RunPipe, pipeline: str, shared: Path, pipe_home: Path
) -> None:
    assert run_pipe("run", "--host", pipeline).exit_code == 0
    assert {path.name for path in shared.iterdir()} >= {"logs", "snapshots", "database"}
    at_home = {path.name for path in pipe_home.iterdir()}
    assert "pipe.db" in at_home
    assert "logs" not in at_home
    assert "hello" in run_pipe("logs", "1").stdout


def test_one_that_cannot_be_written_is_explained(
    run_pipe: RunPipe, pipeline: str, shared: Path
) -> None:
    shared.write_text("in the way")
    for command in (["run", "--host", pipeline], ["doctor"]):
        finished = run_pipe(*command)
        assert finished.exit_code == 4
        assert "set PIPE_STORAGE to a folder that you can write to" in (
            finished.stdout + finished.stderr
        )


def test_doctor_shows_it(run_pipe: RunPipe, shared: Path) -> None:
    assert f"storage: {shared}, " in run_pipe("doctor").stdout


def test_two_databases_never_share_one(
    run_pipe: RunPipe, pipeline: str, shared: Path, tmp_path: Path
) -> None:
    assert run_pipe("run", "--host", pipeline).exit_code == 0
    other = run_pipe("run", "--host", pipeline, env={"PIPE_HOME": str(tmp_path / "other")})
    assert other.exit_code == 4
    assert f"{shared} belongs to the runs of another database" in other.stderr


def test_machines_that_share_a_server_share_a_storage(
    run_pipe: RunPipe, pipeline: str, shared: Path, server: Server, tmp_path: Path
) -> None:
    url = server.new_database()
    ours = {"PIPE_DATABASE_URL": url}
    theirs = {
        "PIPE_DATABASE_URL": url.replace("127.0.0.1", "localhost"),
        "PIPE_HOME": str(tmp_path / "other"),
    }
    assert run_pipe("run", "--host", pipeline, env=ours).exit_code == 0
    assert run_pipe("run", "--host", pipeline, env=theirs).exit_code == 0
    assert "hello" in run_pipe("logs", "1", env=theirs).stdout
    strange = run_pipe("run", "--host", pipeline, env={"PIPE_DATABASE_URL": server.new_database()})
    assert strange.exit_code == 4
    assert f"{shared} belongs to the runs of another database" in strange.stderr


def test_a_database_has_one_name_for_all_who_ask(tmp_path: Path, database_url: str) -> None:
    with (
        Store.open(tmp_path, database_url) as first,
        Store.open(tmp_path, database_url) as second,
    ):
        stores = [first, second] * 4
        with ThreadPoolExecutor(len(stores)) as pool:
            names = set(pool.map(lambda store: identity(store.notes), stores))
    assert len(names) == 1
    assert "" not in names


def test_of_several_databases_one_comes_first(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(4)

    def come(number: int) -> None:
        barrier.wait()
        queue.put(written_once(tmp_path / "database", f"database-{number}"))

    comers = [context.Process(target=come, args=(number,)) for number in range(4)]
    for comer in comers:
        comer.start()
    [owner] = {queue.get(timeout=30) for _ in comers}
    for comer in comers:
        comer.join()
    belong_to(tmp_path, owner)
    with pytest.raises(EnvironmentMissingError, match="another database"):
        belong_to(tmp_path, "database-x")
    assert [path.name for path in tmp_path.iterdir()] == ["database"]


# -- whether it can be shared


def test_a_lock_that_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sharing.why_not_shared(tmp_path) == ""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert "keeps nobody out" in sharing.why_not_shared(tmp_path)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert "No locks available" in sharing.why_not_shared(tmp_path)


def test_locks_that_stay_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS.replace("/mnt/local", str(tmp_path)))
    monkeypatch.setattr(sharing, "_MOUNTS", tmp_path / "mountinfo")
    found = sharing.mount_of(Path("/mnt/with space/deep"))
    assert found is not None
    assert (found.kind, found.point) == ("nfs4", Path("/mnt/with space"))
    assert "`nolock`" in sharing.why_not_shared(tmp_path)


# -- logs


WRITE = """
import sys
from pathlib import Path
from runner.storage import LogWriter, Storage
with LogWriter(Storage(Path(sys.argv[1]), shared=True).log(7, "build", 1)) as writer:
    for number in range(50):
        writer.write(number % 3, b"line %d\\n" % number, float(number))
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_output_is_read_while_its_writer_goes_on(tmp_path: Path) -> None:
    """By another process, which finds the storage under another name."""
    (tmp_path / "storage").mkdir()
    (tmp_path / "mounted").symlink_to("storage")
    log = Storage(tmp_path / "mounted").log(7, "build", 1)
    assert log.ranges() == []
    command = [sys.executable, "-c", WRITE, str(tmp_path / "storage")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        chunks = list(log.chunks())
        writer.communicate()
    assert b"".join(chunk.data for chunk in chunks).splitlines()[-1] == b"line 49"
    assert [chunk.step for chunk in chunks] == [number % 3 for number in range(50)]


@pytest.mark.parametrize("apart", [True, False])
def test_what_is_shared_is_written_through(tmp_path: Path, apart: bool) -> None:
    with LogWriter(Storage(tmp_path, shared=apart).log(7, "build", 1)) as writer:
        flags = [
            int(line.split()[1], 8)
            for descriptor in (writer._log, writer._index)
            for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
            if line.startswith("flags:")
        ]
    assert [bool(flag & os.O_DSYNC) for flag in flags] == [apart, apart]


# -- artifacts and caches


def _work(storage: Path, number: int, barrier: Barrier) -> None:
    mine = Storage(storage)
    scope = CacheScope("/p", (f"refs/heads/{number}",), "v")
    barrier.wait()
    for turn in range(15):
        data = [b"%d" % (turn % 4)]  # the same bytes as the other machine's, now and then
        origin = Origin("/p", number, "build", 1)
        mine.artifacts.store(origin, f"a{turn}", iter(data), Tally(), days=1)
        mine.caches.save(scope, f"key {turn}", [("workspace", iter(data))])
        mine.sweep(time.time())
        for artifact in mine.artifacts.of_run(number):
            assert b"".join(mine.artifacts.read(artifact))
        cache = mine.caches.find(scope, f"key {turn}", ())
        assert cache is not None
        mine.caches.check(cache)


def test_machines_store_and_sweep_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    (tmp_path / "storage").mkdir()
    (tmp_path / "mounted").symlink_to("storage")
    workers = [
        context.Process(target=_work, args=(tmp_path / name, number, barrier))
        for number, name in enumerate(("storage", "mounted"))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = [
        each for run in range(2) for each in Storage(tmp_path / "storage").artifacts.of_run(run)
    ]
    assert sorted(each.id for each in found) == list(range(1, 31))


def test_a_blob_that_another_machine_removed_while_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path)
    artifact = storage.artifacts.store(
        Origin("/p", 1, "build", 1), "a", iter([b"data"]), Tally(), days=1
    )

    def stale(*_: Any) -> Iterator[bytes]:
        yield b"da"
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(storage.blobs, "_read", stale)
    with pytest.raises(CorruptBlobError, match="is missing"):
        list(storage.artifacts.read(artifact))


def test_what_a_network_file_system_keeps_for_a_reader_is_left_alone(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.artifacts.store(Origin("/p", 1, "build", 1), "a", iter([b"data"]), Tally(), days=1)
    [blob] = (tmp_path / "blobs").glob("??/*")
    kept = [blob.parent / ".nfs0001", tmp_path / "artifacts" / "1" / ".nfs0002"]
    unfinished = tmp_path / "artifacts" / "1" / ".half.json.1234"
    for path in (*kept, unfinished):
        path.touch()
    storage.sweep(time.time())
    assert [path.exists() for path in (blob, *kept, unfinished)] == [True, True, True, False]
