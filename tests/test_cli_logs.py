"""`pipe logs`: of runs that go on, of runs whose process is gone, on a terminal and elsewhere."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner import queue
from runner.cli.logs import LONGEST_LINE, whole_lines
from runner.plan import plan
from runner.storage import LogWriter, Storage
from runner.store import Store
from tests.conftest import RunPipe

pytestmark = pytest.mark.timeout(60)

PIPE = str(Path(sys.executable).with_name("pipe"))
PIPELINE = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: make
"""
OWNER = "from runner.queue import process_identity; print(process_identity(), flush=True); input()"


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A process that waits; its first line is its identity."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def start(home: Path, owner: str, printed: bytes) -> None:
    """Run 1 with one running job that has printed this."""
    submission = queue.Submission(
        file="p.yaml", text=PIPELINE, project="/project", name="p", process=owner
    )
    with Store.open(home) as store:
        now = time.time()
        queue.enqueue(store, submission, plan(queue.load_pipeline("p.yaml", PIPELINE), {}), now)
        queue.lease(store, "worker", run=1, now=now)
    with closing(LogWriter(Storage(home).log(1, "build", 1))) as log:
        log.write(1, printed, now)


def test_following_ends_with_the_process_of_the_run(
    owner: subprocess.Popen[str], pipe_home: Path
) -> None:
    assert owner.stdout is not None
    start(pipe_home, owner.stdout.readline().strip(), b"made\nhalf a line")
    command = [PIPE, "logs", "1", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"made\n"
        owner.kill()
        owner.wait()
        assert follower.stdout.read() == b"half a line\n"
        assert follower.wait() == 0


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([], []),
        ([b"a\n", b"b"], [b"a\n", b"b"]),
        ([b"a", b"b\nc", b"d\n"], [b"ab\n", b"cd\n"]),
        ([b"x" * LONGEST_LINE, b"y\n"], [b"x" * LONGEST_LINE + b"y\n"]),
        ([b"x" * LONGEST_LINE, b"y", b"z\n"], [b"x" * LONGEST_LINE + b"y", b"z\n"]),
    ],
)
def test_lines_are_whole_unless_they_are_very_long(
    blocks: list[bytes], expected: list[bytes]
) -> None:
    assert list(whole_lines(blocks)) == expected


HOSTILE = b"\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07end\n"


def test_what_is_no_terminal_gets_every_byte(
    owner: subprocess.Popen[str], pipe_home: Path, run_pipe: RunPipe
) -> None:
    assert owner.stdout is not None
    start(pipe_home, owner.stdout.readline().strip(), HOSTILE)
    assert run_pipe("logs", "1").stdout == HOSTILE.decode()


@pytest.mark.parametrize(
    ("no_colour", "expected"), [("", b"\x1b[31mred\x1b[0m end\n"), ("1", b"red end\n")]
)
def test_a_terminal_is_not_driven_by_what_steps_print(
    owner: subprocess.Popen[str], pipe_home: Path, no_colour: str, expected: bytes
) -> None:
    assert owner.stdout is not None
    start(pipe_home, owner.stdout.readline().strip(), HOSTILE)
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "NO_COLOR": no_colour}
    with os.fdopen(ours, "rb", buffering=0) as screen:
        subprocess.run([PIPE, "logs", "1"], stdout=theirs, env=environment, check=True)
        os.close(theirs)
        assert screen.read(4096).replace(b"\r\n", b"\n") == expected
