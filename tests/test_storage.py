"""Logs on disk: who wrote what, read whole, by step, and while another process writes."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import EnvironmentMissingError
from runner.storage import (
    BLOCK,
    COALESCED_SECONDS,
    AttemptLog,
    LogRange,
    LogWriter,
    Storage,
)

LATER = COALESCED_SECONDS * 2


@pytest.fixture
def log(tmp_path: Path) -> AttemptLog:
    return Storage(tmp_path).log(7, "build", 1)


def write(log: AttemptLog, *writes: tuple[int, bytes, float]) -> None:
    with LogWriter(log) as writer:
        for step, data, time in writes:
            writer.write(step, data, time)


def read(log: AttemptLog, after: int = 0, step: int | None = None) -> bytes:
    return b"".join(chunk.data for chunk in log.chunks(after, step))


@pytest.mark.parametrize(
    ("job", "attempt", "path"),
    [
        ("build", 1, "logs/7/build@1.log"),
        ("build", 12, "logs/7/build@12.log"),
        ("build (2)", 1, "logs/7/build.2@1.log"),
        ("build-2", 1, "logs/7/build-2@1.log"),
        ("../../etc", 1, "logs/7/etc@1.log"),
        ("_a", 1, "logs/7/_a@1.log"),
    ],
)
def test_path_of_a_log(tmp_path: Path, job: str, attempt: int, path: str) -> None:
    assert Storage(tmp_path).log(7, job, attempt).path == tmp_path / path


@pytest.mark.parametrize(
    ("writes", "ranges"),
    [
        ([], []),
        ([(1, b"", 10.0)], []),
        ([(1, b"one", 10.0)], [LogRange(10.0, 1, 0, 3)]),
        (
            [(0, b"box", 10.0), (-1, b"end", 10.0)],
            [LogRange(10.0, 0, 0, 3), LogRange(10, -1, 3, 3)],
        ),
        # The same step at nearly the same time shares a range; later, or another step, does not.
        ([(1, b"one", 10.0), (1, b"two", 10.05)], [LogRange(10.0, 1, 0, 6)]),
        ([(1, b"a", 10.0), (1, b"b", 10.2)], [LogRange(10.0, 1, 0, 1), LogRange(10.2, 1, 1, 1)]),
        ([(1, b"a", 10.0), (1, b"b", 9.0)], [LogRange(10.0, 1, 0, 1), LogRange(9.0, 1, 1, 1)]),
        (
            [(1, b"a", 10.0), (2, b"bc", 10.0), (1, b"d", 10.0)],
            [LogRange(10.0, 1, 0, 1), LogRange(10.0, 2, 1, 2), LogRange(10.0, 1, 3, 1)],
        ),
    ],
)
def test_ranges(
    log: AttemptLog, writes: list[tuple[int, bytes, float]], ranges: list[LogRange]
) -> None:
    write(log, *writes)
    assert log.ranges() == ranges


def test_coalescing_bounds_the_age_of_a_range_not_its_pauses(log: AttemptLog) -> None:
    write(log, *((1, b"x", 10.0 + i * 0.04) for i in range(5)))
    assert [(found.time, found.length) for found in log.ranges()] == [(10.0, 3), (10.12, 2)]


def test_a_log_that_was_never_written_is_empty(log: AttemptLog) -> None:
    assert (log.ranges(), read(log)) == ([], b"")


def test_any_bytes_come_back_as_they_were(log: AttemptLog) -> None:
    data = bytes(range(256)) * 3 + b"\r\n\x00"
    write(log, (1, data, 10.0))
    assert read(log) == data


@pytest.mark.parametrize(
    ("after", "step", "expected"),
    [
        (0, None, b"aabbbcaa"),
        (0, 1, b"aaaa"),
        (0, 2, b"bbb"),
        (0, 9, b""),
        (3, None, b"bbcaa"),
        (3, 2, b"bb"),
        (8, None, b""),
        (99, None, b""),
    ],
)
def test_reading_a_part(log: AttemptLog, after: int, step: int | None, expected: bytes) -> None:
    write(log, (1, b"aa", 1.0), (2, b"bbb", 2.0), (3, b"c", 3.0), (1, b"aa", 4.0))
    assert read(log, after, step) == expected


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 3, b"one"), (3, 3, b"two"), (4, 99, b"wo"), (6, 1, b""), (99, 1, b"")],
)
def test_reading_some_bytes(log: AttemptLog, offset: int, length: int, expected: bytes) -> None:
    assert log.read(offset, length) == b""
    write(log, (1, b"one", 1.0), (2, b"two", 1.0))
    assert log.read(offset, length) == expected


def test_reading_holds_one_block_at_a_time(log: AttemptLog) -> None:
    write(log, (1, b"x" * (2 * BLOCK + 5), 1.0))
    assert [len(chunk.data) for chunk in log.chunks()] == [BLOCK, BLOCK, 5]


def test_write_returns_where_the_bytes_begin(log: AttemptLog) -> None:
    with LogWriter(log) as writer:
        assert [writer.write(1, b"four", 1.0), writer.write(2, b"!", 1.0)] == [0, 4]
    with LogWriter(log) as writer:
        assert writer.write(1, b"more", 2.0) == 5
    assert read(log) == b"four!more"


def test_what_is_written_can_be_read_at_once(log: AttemptLog) -> None:
    with LogWriter(log) as writer:
        for n in range(1, 4):
            writer.write(n, b"x", 1.0)
            assert [found.step for found in log.ranges()] == list(range(1, n + 1))


def test_a_crash_between_mark_and_bytes_loses_neither_order_nor_owner(log: AttemptLog) -> None:
    write(log, (1, b"a", 1.0), (2, b"b", 2.0))
    os.truncate(log.path, 1)
    assert log.ranges() == [LogRange(1.0, 1, 0, 1)]
    write(log, (3, b"c", 3.0))
    assert log.ranges() == [LogRange(1.0, 1, 0, 1), LogRange(3.0, 3, 1, 1)]


def test_a_mark_that_was_cut_off_does_not_displace_later_ones(log: AttemptLog) -> None:
    write(log, (1, b"a", 1.0), (2, b"b", 2.0))
    os.truncate(log.index_path, log.index_path.stat().st_size - 5)
    assert log.ranges() == [LogRange(1.0, 1, 0, 2)]
    write(log, (3, b"c", 3.0))
    assert log.ranges() == [LogRange(1.0, 1, 0, 2), LogRange(3.0, 3, 2, 1)]


def test_threads_share_a_writer(log: AttemptLog) -> None:
    with LogWriter(log) as writer:

        def write_all(step: int) -> None:
            for _ in range(500):
                writer.write(step, str(step).encode() * step, 1.0)

        threads = [threading.Thread(target=write_all, args=(step,)) for step in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [read(log, step=step) for step in (1, 2, 3)] == [b"1" * 500, b"2" * 1000, b"3" * 1500]


class Turns:
    """Lets a follower look again after each of some acts, and tells it when none is left."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)

    def wait(self) -> None:
        self._acts.pop(0)()

    def is_finished(self) -> bool:
        return not self._acts


def test_following(log: AttemptLog) -> None:
    with LogWriter(log) as writer:
        writer.write(1, b"a", 1.0)
        turns = Turns(
            lambda: writer.write(1, b"b", 1.01), lambda: None, lambda: writer.write(2, b"c", 2.0)
        )
        chunks = list(log.follow(turns.is_finished, turns.wait))
    assert [(c.offset, c.step, c.time, c.data) for c in chunks] == [
        (0, 1, 1.0, b"a"),
        (1, 1, 1.0, b"b"),
        (2, 2, 2.0, b"c"),
    ]


def test_following_one_step_from_an_offset_on(log: AttemptLog) -> None:
    with LogWriter(log) as writer:
        writer.write(1, b"aa", 1.0)
        turns = Turns(lambda: writer.write(2, b"b", 1.0), lambda: writer.write(1, b"c", 1.0))
        chunks = list(log.follow(turns.is_finished, turns.wait, after=1, step=1))
    assert [(chunk.offset, chunk.data) for chunk in chunks] == [(1, b"a"), (3, b"c")]


def test_following_a_log_that_does_not_exist_yet(log: AttemptLog) -> None:
    turns = Turns(lambda: write(log, (1, b"late", 1.0)))
    assert [chunk.data for chunk in log.follow(turns.is_finished, turns.wait)] == [b"late"]


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from runner.storage import LogWriter, Storage

with LogWriter(Storage(Path(sys.argv[1])).log(7, "build", 1)) as writer:
    for n in range(10**9):
        writer.write(n, b"%d\\n" % n, float(n))
        if n == 100:
            print("going", flush=True)
"""


def test_a_reader_and_a_writer_that_is_killed(log: AttemptLog, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        for _ in range(10):
            assert_owners_are_right(log)
        writer.kill()
    assert_owners_are_right(log)
    assert len(log.ranges()) > 100


def assert_owners_are_right(log: AttemptLog) -> None:
    newest = log.ranges()[-500:]
    content = read(log, newest[0].offset)
    for found in newest:
        start = found.offset - newest[0].offset
        assert (b"%d\n" % found.step).startswith(content[start : start + found.length])


def test_logs_are_private(log: AttemptLog) -> None:
    write(log, (1, b"a", 1.0))
    assert [path.stat().st_mode & 0o077 for path in (log.path, log.index_path)] == [0, 0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_clear_error(log: AttemptLog) -> None:
    log.path.parent.mkdir(parents=True)
    log.path.symlink_to("/dev/full")
    with LogWriter(log) as writer, pytest.raises(EnvironmentMissingError) as caught:
        writer.write(1, b"a", 1.0)
    assert "No space left" in caught.value.message
    assert "free some space" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(EnvironmentMissingError):
        LogWriter(Storage(tmp_path).log(1, "build", 1))
