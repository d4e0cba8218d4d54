"""The store of artifacts and caches: shared by processes that may be killed, on a disk that fails."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from runner.errors import EnvironmentMissingError
from runner.storage import (
    Artifact,
    Cache,
    CacheScope,
    CacheTooLargeError,
    CorruptBlobError,
    NameTakenError,
    Origin,
    Storage,
    blobs,
)
from runner.storage.caches import CacheStore
from runner.storage.untrusted import Tally

DAY = 24 * 3600
ORIGIN = Origin("/project", 7, "build", 1)
SCOPE = CacheScope("/project", ("refs/heads/topic", "refs/heads/main"), "v1")
MAIN = CacheScope("/project", ("refs/heads/main",), "v1")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def upload(
    storage: Storage,
    name: str = "dist",
    data: bytes = b"data",
    origin: Origin = ORIGIN,
    **how: bool,
) -> Artifact:
    return storage.artifacts.store(origin, name, [data], Tally(1, len(data)), days=1, **how)


def save(
    storage: Storage, key: str, data: bytes = b"data", scope: CacheScope = MAIN
) -> Cache | None:
    return storage.caches.save(scope, key, [("workspace", [data])])


def content(storage: Storage, artifact: Artifact) -> bytes:
    return b"".join(storage.artifacts.read(artifact))


def blob_files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "blobs").glob("??/*"))


# -- artifacts


def test_an_artifact_is_read_as_it_was_stored(storage: Storage, tmp_path: Path) -> None:
    artifact = upload(storage, data=b"x" * 3_000_000)
    assert storage.artifacts.of_run(7) == [artifact]
    assert content(storage, artifact) == b"x" * 3_000_000
    assert blob_files(tmp_path) == [artifact.digest]
    assert (artifact.files, artifact.size, artifact.expires - artifact.created) == (
        1,
        3_000_000,
        DAY,
    )


def test_what_is_stored_is_private(storage: Storage, tmp_path: Path) -> None:
    upload(storage)
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")}
    assert [name for name, mode in modes.items() if mode] == []


def test_equal_bytes_are_kept_once_and_as_long_as_somebody_needs_them(
    storage: Storage, tmp_path: Path
) -> None:
    first = upload(storage, "a")
    second = upload(storage, "b", origin=replace(ORIGIN, run=8))
    save(storage, "key")
    assert blob_files(tmp_path) == [first.digest]
    storage.sweep(second.expires + 1)
    assert (storage.artifacts.of_run(7), storage.artifacts.of_run(8)) == ([], [])
    assert blob_files(tmp_path) == [first.digest]
    storage.sweep(time.time() + 8 * DAY)
    assert blob_files(tmp_path) == []


def test_a_name_is_taken_once_in_a_run(storage: Storage) -> None:
    first = upload(storage)
    with pytest.raises(NameTakenError, match="an artifact `dist` already"):
        upload(storage, data=b"other")
    assert content(storage, first) == b"data"
    upload(storage, origin=replace(ORIGIN, run=8))
    other = upload(storage, data=b"other", overwrite=True)
    assert storage.artifacts.of_run(7) == [other]
    assert other.id > first.id


def test_a_later_attempt_of_a_job_may_store_its_names_again(storage: Storage) -> None:
    upload(storage)
    again = upload(storage, data=b"again", origin=replace(ORIGIN, attempt=2))
    assert storage.artifacts.of_run(7) == [again]
    with pytest.raises(NameTakenError):
        upload(storage, origin=replace(ORIGIN, attempt=3, job="other"))


def test_the_artifacts_of_reused_jobs_belong_to_the_new_run_too(storage: Storage) -> None:
    upload(storage, "mine")
    upload(storage, "other", origin=replace(ORIGIN, job="test"))
    storage.artifacts.adopt(7, 9, {"build": "build"})
    [adopted] = storage.artifacts.of_run(9)
    assert (adopted.name, adopted.run, content(storage, adopted)) == ("mine", 9, b"data")


def test_names_of_any_kind_are_no_paths(storage: Storage, tmp_path: Path) -> None:
    for name in ("../../out", "x" * 5000, "a\nb", "\N{SNOWMAN}"):
        upload(storage, name)
    assert {path.parent for path in (tmp_path / "artifacts").rglob("*.json")} == {
        tmp_path / "artifacts" / "7"
    }
    assert len(storage.artifacts.of_run(7)) == 4


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"dAta"), Path.unlink])
def test_a_damaged_artifact_is_a_clear_error(storage: Storage, damage: object) -> None:
    artifact = upload(storage)
    assert callable(damage)
    damage(storage.blobs.path(artifact.digest))
    with pytest.raises(CorruptBlobError, match=r"is damaged|is missing"):
        content(storage, artifact)
    # Storing it again repairs it.
    assert content(storage, upload(storage, "again")) == b"data"


def test_a_record_that_is_none_is_passed_over(storage: Storage, tmp_path: Path) -> None:
    artifact = upload(storage)
    for number, text in enumerate(("", "[]", '{"id": 1}', "{")):
        (tmp_path / "artifacts" / "7" / f"{number}.json").write_text(text)
    assert storage.artifacts.of_run(7) == [artifact]


# -- caches


def found(storage: Storage, key: str, *others: str, scope: CacheScope = SCOPE) -> str | None:
    cache = storage.caches.find(scope, key, others)
    return cache.key if cache else None


def test_the_exact_key_wins_and_then_the_newest_of_a_prefix(storage: Storage) -> None:
    for key in ("npm-1", "npm-2", "npm-10"):
        save(storage, key)
    assert found(storage, "npm-2") == "npm-2"
    assert found(storage, "npm-1") == "npm-1"
    assert found(storage, "npm-3", "npm-") == "npm-10"
    assert found(storage, "npm-", "other") == "npm-10"
    assert found(storage, "pip", "pip-", "npm-1") == "npm-10"
    assert found(storage, "pip", "") == "npm-10"
    assert found(storage, "pip") is None


def test_branches_see_their_own_caches_first_and_never_those_of_others(storage: Storage) -> None:
    save(storage, "a-main", scope=MAIN)
    assert found(storage, "a-x", "a-") == "a-main"
    save(storage, "a-topic", scope=SCOPE)
    assert found(storage, "a-main") == "a-main"
    assert found(storage, "a-x", "a-") == "a-topic"
    assert found(storage, "a-topic", scope=MAIN) is None
    assert found(storage, "a-main", scope=replace(SCOPE, version="v2")) is None
    assert found(storage, "a-main", scope=replace(SCOPE, project="/other")) is None


def test_a_cache_is_never_changed(storage: Storage) -> None:
    assert save(storage, "key", b"first") is not None
    assert save(storage, "key", b"second") is None
    # Another branch has keys of its own.
    assert save(storage, "key", b"third", SCOPE) is not None
    cache = storage.caches.find(MAIN, "key", [])
    assert cache
    assert b"".join(storage.caches.read(cache.parts[0])) == b"first"


def test_the_least_recently_used_goes_when_there_is_no_room(
    storage: Storage, tmp_path: Path
) -> None:
    storage.caches = CacheStore(tmp_path / "caches", storage.blobs, most_bytes=250)
    for number, key in enumerate("abc"):
        save(storage, key, key.encode() * 100)
        touch_all(tmp_path, number)
        if key == "b":
            assert found(storage, "a", scope=MAIN) == "a"
    assert [key for key in "abc" if found(storage, key, scope=MAIN)] == ["a", "c"]
    storage.tidy()
    assert len(blob_files(tmp_path)) == 2
    with pytest.raises(CacheTooLargeError, match="300 bytes, and a project may keep 250"):
        save(storage, "d", b"d" * 300)


def touch_all(home: Path, number: int) -> None:
    """What was not used since the last time was used long ago."""
    for path in (home / "caches").rglob("*.json"):
        if path.stat().st_mtime > 1000:
            os.utime(path, (number + 1, number + 1))


def test_what_nobody_used_for_a_week_goes(storage: Storage, tmp_path: Path) -> None:
    save(storage, "key")
    storage.sweep(time.time() + 6.9 * DAY)
    assert found(storage, "key") == "key"
    storage.sweep(time.time() + 7.1 * DAY)
    assert found(storage, "key") is None
    assert blob_files(tmp_path) == []


def test_a_damaged_cache_is_found_out_before_it_is_used(storage: Storage) -> None:
    cache = save(storage, "key")
    assert cache
    storage.blobs.path(cache.parts[0].digest).write_bytes(b"dAta")
    with pytest.raises(CorruptBlobError):
        storage.caches.check(cache)
    storage.caches.forget(cache)
    assert save(storage, "key") is not None


# -- several processes, killed ones, full disks


def _save_with_others(home: Path, number: int, barrier: Barrier) -> None:
    storage = Storage(home)

    def pieces() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        barrier.wait()
        yield b"%d" % number

    mine = storage.caches.save(MAIN, "key", [("workspace", pieces())])
    (home / f"won-{number}").write_text(str(mine is not None))
    upload(storage, f"artifact {number}")
    storage.sweep(time.time())


def test_of_several_savers_one_wins_and_none_fails(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    savers = [
        context.Process(target=_save_with_others, args=(tmp_path, number, barrier))
        for number in range(4)
    ]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    assert [saver.exitcode for saver in savers] == [0] * 4
    won = [number for number in range(4) if (tmp_path / f"won-{number}").read_text() == "True"]
    storage = Storage(tmp_path)
    cache = storage.caches.find(MAIN, "key", [])
    assert cache
    [winner] = won
    assert b"".join(storage.caches.read(cache.parts[0]))[1_000_000:] == b"%d" % winner
    artifacts = storage.artifacts.of_run(7)
    assert sorted(each.id for each in artifacts) == [1, 2, 3, 4]
    assert {content(storage, each) for each in artifacts} == {b"data"}
    storage.sweep(time.time())
    assert len(blob_files(tmp_path)) == 2


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from runner.storage import Origin, Storage
from runner.storage.untrusted import Tally

def pieces():
    for n in range(10**9):
        yield bytes(100_000)
        if n == 100:
            print("going", flush=True)

Storage(Path(sys.argv[1])).artifacts.store(Origin("/p", 7, "build", 1), "dist", pieces(), Tally(), days=1)
"""


def test_a_writer_that_is_killed_leaves_nothing_but_what_is_swept(
    storage: Storage, tmp_path: Path
) -> None:
    parts = tmp_path / "blobs" / "parts"
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        storage.sweep(time.time())
        assert len(list(parts.iterdir())) == 1, "somebody still writes it"
        writer.kill()
    assert storage.artifacts.of_run(7) == []
    assert storage.sweep(time.time()) >= 5_000_000
    assert list(parts.iterdir()) == []
    assert content(storage, upload(storage)) == b"data"


def test_half_a_record_of_a_killed_writer_is_swept(storage: Storage, tmp_path: Path) -> None:
    upload(storage)
    save(storage, "key")
    for record in (*tmp_path.rglob("artifacts/7/*.json"), *tmp_path.rglob("caches/*/*.json")):
        record.with_name(f".{record.name}.1234").write_text("{")
    storage.sweep(time.time())
    assert [path.name for path in tmp_path.rglob(".*")] == []
    assert len(storage.artifacts.of_run(7)) == 1


def test_what_could_not_be_read_to_the_end_is_not_stored(storage: Storage, tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 2_000_000
        raise RuntimeError("the box went away")

    with pytest.raises(RuntimeError):
        storage.artifacts.store(ORIGIN, "dist", pieces(), Tally(), days=1)
    assert storage.artifacts.of_run(7) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, block: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(blobs, "_write_all", full)
    with pytest.raises(EnvironmentMissingError, match="No space left") as caught:
        upload(storage)
    assert "free some space" in caught.value.hint
    assert blob_files(tmp_path) == []
    assert list((tmp_path / "blobs" / "parts").iterdir()) == []


def test_a_folder_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(EnvironmentMissingError):
        upload(Storage(tmp_path))


def test_sweeps_are_not_done_all_the_time(storage: Storage, tmp_path: Path) -> None:
    artifact = upload(storage)
    storage.tidy()
    record = next((tmp_path / "artifacts" / "7").glob("*.json"))
    record.write_text(json.dumps({**json.loads(record.read_text()), "expires": 0.0}))
    storage.tidy()
    assert blob_files(tmp_path) == [artifact.digest]
    long_ago = time.time() - 2 * 3600
    os.utime(tmp_path / "blobs" / "swept", (long_ago, long_ago))
    storage.tidy()
    assert blob_files(tmp_path) == []


def test_sizes(storage: Storage, tmp_path: Path) -> None:
    assert (storage.sizes().logs, storage.sizes().stored) == (0, 0)
    upload(storage, data=b"x" * 1000)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a").write_bytes(b"x" * 10)
    assert (storage.sizes().logs, storage.sizes().stored) == (10, 1000)
