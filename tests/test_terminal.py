"""Views of a run: what a screen, a file and a program get to see."""

import fcntl
import io
import json
import os
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import EnvironmentMissingError, Position
from runner.events import (
    Annotation,
    Emit,
    Event,
    ImagePulling,
    JobFinished,
    JobQueued,
    JobStarted,
    Level,
    Note,
    OutputWritten,
    Result,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    SummaryWritten,
    from_json,
)
from runner.terminal.escapes import Cleaner
from runner.terminal.markdown import LONGEST, rendered
from runner.terminal.marks import Marks
from runner.terminal.mode import Mode
from runner.terminal.transcript import BLOCK, Transcript
from runner.terminal.view import View, open_view
from runner.terminal.words import cells, duration, elapsed, shortened, size, visible

XTERM = {"TERM": "xterm-256color"}
FRAME = b"\x1b[?2026h"


class Script:
    """Tells a run as events to `emit`; what its steps print is in files, as in a run.

    Times are seconds after the start of the run, which was a minute ago.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = time.time() - 60
        self.names: dict[str, str] = {}
        self.reads = 0
        self.emit: Emit = lambda event: None

    def read(self, output: OutputWritten) -> bytes:
        self.reads += 1
        with (self.folder / f"{output.job}.log").open("rb") as log:
            log.seek(output.offset)
            return log.read(output.length)

    def tell(self, kind: type[Event], at: float, **fields: Any) -> None:
        self.emit(kind(run=12, time=self.start + at, **fields))

    def begin(self, jobs: int) -> None:
        self.tell(RunStarted, 0, name="CI", file="pipelines/ci.yaml", jobs=jobs)

    def end(self, at: float, result: Result = "success", reason: str = "") -> None:
        self.tell(RunFinished, at, result=result, reason=reason)

    def queue(self, job: str, at: float = 0, attempt: int = 1, delay: float = 0) -> None:
        self.tell(JobQueued, at, job=job, attempt=attempt, name=self.name(job), delay=delay)

    def job(self, job: str, at: float, name: str = "", attempt: int = 1) -> None:
        self.names[job] = name or self.name(job)
        fields = {"name": self.name(job), "worker": "w1", "image": "python:3.12"}
        self.tell(JobStarted, at, job=job, attempt=attempt, **fields)

    def job_end(self, job: str, at: float, result: Result = "success", **fields: Any) -> None:
        self.tell(JobFinished, at, job=job, name=self.name(job), result=result, **fields)

    def step(self, job: str, number: int, name: str, at: float, line: int = 9) -> None:
        where = Position("pipelines/ci.yaml", line, 9)
        self.tell(StepStarted, at, job=job, step=number, id=f"s{number}", name=name, position=where)

    def step_end(
        self, job: str, number: int, name: str, at: float, code: int = 0, line: int = 9, **more: Any
    ) -> None:
        result: Result = "failure" if code else "success"
        fields = {"outcome": result, "conclusion": result, "exit_code": code} | more
        fields |= {"position": Position("pipelines/ci.yaml", line, 9), "id": f"s{number}"}
        self.tell(StepFinished, at, job=job, step=number, name=name, **fields)

    def output(self, job: str, number: int, data: bytes | str, at: float = 0) -> None:
        data = data.encode() if isinstance(data, str) else data
        path = self.folder / f"{job}.log"
        with path.open("ab") as log:
            offset = log.tell()
            log.write(data)
        self.tell(OutputWritten, at, job=job, step=number, offset=offset, length=len(data))

    def note(self, message: str, at: float, level: Level = "notice", job: str = "") -> None:
        self.tell(Note, at, message=message, level=level, job=job)

    def name(self, job: str) -> str:
        return self.names.get(job, job)

    @contextmanager
    def view(
        self, stream: TextIO, mode: Mode = "auto", environ: Mapping[str, str] = XTERM
    ) -> Iterator[View]:
        with open_view(
            stream, mode=mode, read=self.read, rerun=rerun_failed, environ=environ
        ) as view:
            self.emit = view.emit
            yield view


def rerun_failed(end: RunFinished) -> str:
    return f"pipe rerun {end.run} --failed" if end.result != "success" else ""


class Terminal:
    """A terminal that people could sit at: what is written to `stream` appears on its screen."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._master, slave = os.openpty()
        self._slave = slave
        self.screen = pyte.HistoryScreen(columns, lines, history=100_000)
        self.raw = bytearray()
        self._parser = pyte.ByteStream(self.screen)
        self._news = threading.Condition()
        self.resize(columns, lines)
        self.stream = io.TextIOWrapper(os.fdopen(slave, "wb"), encoding="utf-8")
        self._reader = threading.Thread(target=self._pump)
        self._reader.start()

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _pump(self) -> None:
        while data := self._read():
            with self._news:
                self.raw += data
                self._parser.feed(data)
                self._news.notify_all()

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except OSError:
            return b""

    def shows(self, *wanted: str) -> list[str]:
        """Waits until all texts are on the screen together, and returns its lines."""
        with self._news:
            if not self._news.wait_for(lambda: self._has(wanted), timeout=20):
                pytest.fail("\n".join([f"{wanted} is not on the screen:", *self.lines()]))
            return self.lines()

    def _has(self, wanted: Sequence[str]) -> bool:
        text = "\n".join(self.lines())
        return all(each in text for each in wanted)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def close(self) -> list[str]:
        """All lines that it ever showed and that were left, without empty ones at the end."""
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        above = ["".join(line[x].data for x in sorted(line)) for line in self.screen.history.top]
        return "\n".join(map(str.rstrip, [*above, *self.screen.display])).rstrip().split("\n")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@contextmanager
def terminal(columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    opened = Terminal(columns, lines)
    try:
        yield opened
    finally:
        if not opened.stream.closed:
            opened.close()


def written_by(
    script: Script,
    play: Callable[[], None],
    mode: Mode = "plain",
    environ: Mapping[str, str] = XTERM,
) -> str:
    """What a view writes to a file."""
    path = script.folder / "stdout"
    with path.open("w", encoding="utf-8") as stream, script.view(stream, mode, environ):
        play()
    return path.read_bytes().decode()


def play_in(script: Script, stream: TextIO, play: Callable[[], None]) -> None:
    with script.view(stream):
        play()


def play_a_run(script: Script) -> None:
    """Four jobs: one succeeds, one fails and is tried again in vain, two never run."""
    script.begin(4)
    script.queue("build")
    script.job("build", 0.5)
    script.step("build", 1, "Compile", 0.6)
    script.output("build", 1, "##[group]Fetch\nalpha\n##[endgroup]\ncompiled\n")
    script.step_end("build", 1, "Compile", 2.8)
    script.job_end("build", 3.0)
    script.queue("test", 3)
    for attempt, at in ((1, 3.0), (2, 10.0)):
        script.job("test", at, "unit tests", attempt)
        script.step("test", 1, "Pytest", at + 0.1, line=21)
        script.output("test", 1, f"attempt {attempt}\n##[error]2 tests failed\nbye")
        script.step_end("test", 1, "Pytest", at + 1.1, code=1, line=21)
        script.job_end("test", at + 2, "failure", attempt=attempt, final=attempt == 2)
        if attempt == 1:
            script.queue("test", 5, attempt=2, delay=5)
    script.job_end("deploy", 12, "skipped", reason="needs test, which failed")
    script.job_end("notify", 12, "cancelled", reason="nobody waits for it")
    script.end(12, "failure")


END_OF_THE_RUN = """
   job         result      time  attempts
✓  build       success    2.5 s  1
✗  unit tests  failure    9.0 s  2         Pytest: exit code 1 at pipelines/ci.yaml:21:9
-  deploy      skipped                     needs test, which failed
■  notify      cancelled                   nobody waits for it

run again: pipe rerun 12 --failed

run 12 failed in 12.0 s: 1 of 4 jobs failed, 1 cancelled, 1 skipped
"""

PLAIN = """\
run 12: CI (pipelines/ci.yaml), 4 jobs
build | ● job started in python:3.12
build | ● Compile
build | ▸ Fetch
build | alpha
build | compiled
build | ✓ Compile (2.2 s)
build | ✓ job succeeded in 2.5 s
unit tests | ● job started in python:3.12
unit tests | ● Pytest
unit tests | attempt 1
unit tests | Error: 2 tests failed
unit tests | bye
unit tests | ✗ Pytest failed with exit code 1 after 1.0 s
unit tests |   at pipelines/ci.yaml:21:9
unit tests | ✗ attempt 1 failed after 2.0 s
unit tests | ○ attempt 2 starts in 5 s
unit tests | ● job started in python:3.12, attempt 2
unit tests | ● Pytest
unit tests | attempt 2
unit tests | Error: 2 tests failed
unit tests | bye
unit tests | ✗ Pytest failed with exit code 1 after 1.0 s
unit tests |   at pipelines/ci.yaml:21:9
unit tests | ✗ job failed after 2.0 s
deploy     | - job skipped (needs test, which failed)
notify     | ■ job cancelled (nobody waits for it)
"""

RULE = "─" * 100
LIVE = f"""\
run 12: CI (pipelines/ci.yaml), 4 jobs
✓ build           2.5 s
✗ unit tests: Pytest failed with exit code 1 after 1.0 s
  at pipelines/ci.yaml:21:9
{RULE}
attempt 1
Error: 2 tests failed
bye
{RULE}
✗ unit tests      2.0 s  attempt 1 failed: Pytest: exit code 1
○ unit tests: attempt 2 starts in 5 s
✗ unit tests: Pytest failed with exit code 1 after 1.0 s
  at pipelines/ci.yaml:21:9
{RULE}
attempt 2
Error: 2 tests failed
bye
{RULE}
✗ unit tests      2.0 s  Pytest: exit code 1
- deploy                 needs test, which failed
■ notify                 nobody waits for it
"""


# --- which view -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "mode", "redraws"),
    [
        (XTERM, "auto", True),
        (XTERM, "live", True),
        (XTERM, "plain", False),
        (XTERM, "quiet", False),
        (XTERM, "json", False),
        (XTERM | {"CI": "true"}, "auto", False),
        (XTERM | {"CI": "1"}, "auto", False),
        (XTERM | {"CI": "false"}, "auto", True),
        (XTERM | {"CI": ""}, "auto", True),
        (XTERM | {"CI": "true"}, "live", True),
        (XTERM | {"NO_COLOR": "1"}, "auto", True),
        ({"TERM": "dumb"}, "auto", False),
        ({}, "auto", False),
    ],
)
def test_who_redraws(script: Script, environ: dict[str, str], mode: Mode, redraws: bool) -> None:
    with terminal() as screen:
        with script.view(screen.stream, mode, environ):
            play_a_run(script)
        screen.close()
        assert (b"\x1b[J" in screen.raw) == redraws
        assert b"\x1b[?25l" not in screen.raw, "a cursor that is hidden may never come back"


def test_a_file_gets_plain_lines(script: Script) -> None:
    assert written_by(script, lambda: script.begin(1), "auto") == (
        "run 12: CI (pipelines/ci.yaml), 1 job\n"
    )


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}])
def test_live_needs_a_terminal_that_can(script: Script, environ: dict[str, str]) -> None:
    with (
        terminal() as screen,
        pytest.raises(EnvironmentMissingError),
        script.view(screen.stream, "live", environ),
    ):
        pass


def test_live_needs_a_terminal(script: Script) -> None:
    with pytest.raises(EnvironmentMissingError, match="terminal"):
        written_by(script, lambda: None, "live")


@pytest.mark.parametrize(
    ("environ", "on_a_terminal", "in_a_file"),
    [
        (XTERM, True, False),
        ({"TERM": "dumb"}, False, False),
        (XTERM | {"NO_COLOR": "1"}, False, False),
        (XTERM | {"NO_COLOR": ""}, True, False),
        (XTERM | {"FORCE_COLOR": "1"}, True, True),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        (XTERM | {"FORCE_COLOR": "0"}, False, False),
        (XTERM | {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colour(
    script: Script, environ: dict[str, str], on_a_terminal: bool, in_a_file: bool
) -> None:
    def play() -> None:
        script.output("build", 1, "\x1b[32mgreen\x1b[0m\n")
        script.end(3)

    with terminal() as screen:
        with script.view(screen.stream, "plain", environ):
            play()
        screen.close()
        assert (b"\x1b[32mgreen\x1b[0m" in screen.raw) == (b"\x1b[" in screen.raw) == on_a_terminal
    assert ("\x1b[" in written_by(script, play, environ=environ)) == in_a_file


def test_without_colour_the_live_view_has_none(script: Script) -> None:
    with terminal() as screen:
        with script.view(screen.stream, environ=XTERM | {"NO_COLOR": "1"}):
            play_a_run(script)
        screen.close()
        assert re.findall(rb"\x1b\[[0-9;:]*m", screen.raw) == []


def test_rich_is_loaded_for_the_live_view_alone() -> None:
    program = """
import sys
from runner.terminal.view import open_view
from runner.events import RunFinished
for mode in ("plain", "json", "quiet"):
    with open_view(sys.stdout, mode=mode, read=None, rerun=lambda end: "", environ={}) as view:
        view.emit(RunFinished(run=1, time=0.0, result="success"))
print("rich" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stderr, ended.stdout.splitlines()[-1]) == ("", "False")


# --- plain ------------------------------------------------------------------------------------


def test_plain(script: Script) -> None:
    assert written_by(script, lambda: play_a_run(script)) == PLAIN + END_OF_THE_RUN


def test_prefixes_grow_with_the_longest_name(script: Script) -> None:
    def play() -> None:
        for job in ("a", "job", "b"):
            script.output(job, 1, "text\n")

    assert written_by(script, play) == "a | text\njob | text\nb   | text\n"


@pytest.mark.parametrize(
    ("outputs", "shown"),
    [
        ([("a", "one "), ("a", "line\n")], "a | one line\n"),
        ([("a", "Name? "), ("b", "x\n"), ("a", "Ann\n")], "a | Name? \nb | x\na | Ann\n"),
        ([("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")], "a | 1\nb | 2\na | 3\nb | 4\n"),
        ([("a", "\n\n")], "a | \na | \n"),
        ([("a", "one\r\ntwo\r\n")], "a | one\na | two\n"),
        ([("a", "one\r"), ("a", "\ntwo\n")], "a | one\na | two\n"),
        ([("a", "10%\r20%\r"), ("a", "30%\n")], "a | 10%\ra | 20%\ra | 30%\n"),
        ([("a", "##[gro"), ("a", "up]Title\n")], "a | ▸ Title\n"),
        ([("a", "#"), ("a", " comment\n")], "a | # comment\n"),
        ([("a", b"\xc3"), ("a", b"\xa9\n")], "a | é\n"),
        ([("a", "")], ""),
    ],
)
def test_lines_of_jobs_never_mix(
    script: Script, outputs: list[tuple[str, str | bytes]], shown: str
) -> None:
    def play() -> None:
        for job, data in outputs:
            script.output(job, 1, data)

    assert written_by(script, play).encode() == shown.encode()


def test_a_prompt_is_there_at_once(script: Script) -> None:
    with terminal() as screen, script.view(screen.stream, "plain"):
        script.output("build", 1, "Password: ")
        screen.shows("build | Password:")


def test_what_waits_for_its_end_is_shown_at_the_end(script: Script) -> None:
    def play() -> None:
        script.output("a", 1, "##[group]never ended")
        script.step_end("a", 1, "Step", 1)
        script.output("a", 2, "##")
        script.job_end("a", 2)

    lines = written_by(script, play).splitlines()
    assert lines == [
        "a | ▸ never ended",
        "a | ✓ Step (0.0 s)",
        "a | ##",
        "a | ✓ job succeeded",
    ]


def test_colours_end_where_another_line_begins(script: Script) -> None:
    def play() -> None:
        script.output("a", 1, "\x1b[31mred\nstill red\n")
        script.output("b", 1, "not red\n")
        script.output("a", 1, "red again\x1b[0m\n")

    shown = written_by(script, play, environ={"FORCE_COLOR": "1"})
    faint = "\x1b[2m{} |\x1b[0m "
    a, b = faint.format("a"), faint.format("b")
    assert shown == (
        f"{a}\x1b[31mred\x1b[0m\n{a}\x1b[31mstill red\x1b[0m\n{b}not red\n"
        f"{a}\x1b[31mred again\x1b[0m\n"
    )


def test_pulls_are_told_once(script: Script) -> None:
    def play() -> None:
        for current in (0, 10_000_000, 45_100_000):
            pull: dict[str, Any] = {"image": "python:3.12", "current": current}
            script.tell(ImagePulling, 0, job="a", total=45_100_000, **pull)
        script.tell(ImagePulling, 0, job="a", done=True, total=45_100_000, **pull)

    assert (
        written_by(script, play)
        == "a | ↓ pulling python:3.12\na | ✓ pulled python:3.12 (45.1 MB)\n"
    )


def test_many_threads_write_whole_lines(script: Script) -> None:
    def work(job: str) -> None:
        for number in range(200):
            script.output(job, 1, f"{job}{number}\n" * 5)

    def play() -> None:
        threads = [threading.Thread(target=work, args=(job,)) for job in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = written_by(script, play).splitlines()
    for job in "abcdefgh":
        own = [line for line in lines if line.startswith(f"{job} | ")]
        assert own == [f"{job} | {job}{number}" for number in range(200) for _ in range(5)]
    assert len(lines) == 8 * 200 * 5


def test_plain_keeps_up_with_a_fast_step(script: Script) -> None:
    line = b"2026-11-22T02:00:00 INFO some.module: processed item 12345 in 0.123 s\n"
    block = (line * (BLOCK // len(line) + 1))[: 1 << 16]

    def play() -> None:
        for _ in range(1 << 11):
            script.tell(OutputWritten, 0, job="build", step=1, offset=0, length=len(block))

    (script.folder / "build.log").write_bytes(block)
    before = time.process_time()
    assert len(written_by(script, play)) > 128_000_000
    assert 134 / (time.process_time() - before) > 60, "megabytes per second of processor time"


def test_a_reader_that_goes_away_does_not_stop_the_run(script: Script) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream, script.view(stream):
        play_a_run(script)


# --- json and quiet ---------------------------------------------------------------------------


def records(script: Script, play: Callable[[], None]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written_by(script, play, "json").splitlines()]


def test_json_is_the_events(script: Script) -> None:
    told: list[Event] = []

    def play() -> None:
        show = script.emit

        def both(event: Event) -> None:
            told.append(event)
            show(event)

        script.emit = both
        play_a_run(script)

    found = records(script, play)
    assert [from_json(record) for record in found] == told
    assert [record["text"] for record in found if "text" in record] == [
        "##[group]Fetch\nalpha\n##[endgroup]\ncompiled\n",
        "attempt 1\n##[error]2 tests failed\nbye",
        "attempt 2\n##[error]2 tests failed\nbye",
    ]


def test_json_text_is_whole_characters(script: Script) -> None:
    def play() -> None:
        for data in (b"caf\xc3", b"\xa9 \xff\x00", b"end \xe2\x82"):
            script.output("a", 1, data)
        script.step_end("a", 1, "Step", 1)

    found = records(script, play)
    assert [record.get("text") for record in found] == [
        "caf",
        "é \ufffd\x00",
        "end ",
        "\ufffd",
        None,
    ]
    assert [(r["offset"], r["length"]) for r in found[:-1]] == [(0, 4), (4, 4), (8, 6), (14, 0)]


def test_json_cuts_long_ranges(script: Script) -> None:
    found = records(script, lambda: script.output("a", 1, b"x" * (2 * BLOCK + 5)))
    assert [(record["offset"], record["length"]) for record in found] == [
        (0, BLOCK),
        (BLOCK, BLOCK),
        (2 * BLOCK, 5),
    ]
    assert sum(len(record["text"]) for record in found) == 2 * BLOCK + 5


def test_quiet_tells_failures(script: Script) -> None:
    assert written_by(script, lambda: play_a_run(script), "quiet") == (
        "   job         result    time  attempts\n"
        "✗  unit tests  failure  9.0 s  2         Pytest: exit code 1 at pipelines/ci.yaml:21:9\n"
        "\n"
        "run 12 failed in 12.0 s: 1 of 4 jobs failed, 1 cancelled, 1 skipped\n"
    )


def test_quiet_has_little_to_say_of_success(script: Script) -> None:
    def play() -> None:
        script.begin(1)
        script.job("a", 0)
        script.job_end("a", 3)
        script.end(3.2)

    assert written_by(script, play, "quiet") == "run 12 succeeded in 3.2 s: 1 job\n"


# --- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "end", "said"),
    [
        ("s", "success", "run 12 succeeded in 3.2 s: 1 job"),
        ("ssss", "success", "run 12 succeeded in 3.2 s: 4 jobs"),
        ("ss-", "success", "run 12 succeeded in 3.2 s: 2 of 3 jobs succeeded, 1 skipped"),
        ("sxss", "failure", "run 12 failed in 3.2 s: 1 of 4 jobs failed"),
        ("x", "failure", "run 12 failed in 3.2 s: 1 of 1 job failed"),
        ("xx-c", "failure", "run 12 failed in 3.2 s: 2 of 4 jobs failed, 1 cancelled, 1 skipped"),
        ("sc", "cancelled", "run 12 cancelled after 3.2 s: 1 of 2 jobs cancelled"),
        ("", "failure", "run 12 failed in 3.2 s"),
    ],
)
def test_the_verdict(script: Script, results: str, end: Result, said: str) -> None:
    kinds: dict[str, Result] = {"s": "success", "x": "failure", "c": "cancelled", "-": "skipped"}

    def play() -> None:
        script.begin(len(results))
        for number, letter in enumerate(results):
            script.job_end(f"j{number}", 3, kinds[letter])
        script.end(3.2, end)

    assert written_by(script, play, "quiet").splitlines()[-1] == said


def test_the_verdict_tells_the_reason_of_a_run(script: Script) -> None:
    def play() -> None:
        script.begin(0)
        script.end(3, "failure", "lost")

    assert written_by(script, play, "quiet") == "run 12 failed in 3.0 s: lost\n"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("timeout", "timeout"),
        ("out-of-memory", "out-of-memory"),
        ("lost", "lost"),
    ],
)
def test_the_table_tells_why(script: Script, reason: str, shown: str) -> None:
    def play() -> None:
        script.job("a", 0)
        script.job_end("a", 1, "failure", reason=reason)
        script.end(2, "failure")

    assert f"✗  a    failure  1.0 s  1         {shown}" in written_by(script, play).splitlines()


def test_annotations_and_summaries(script: Script) -> None:
    def play() -> None:
        script.job("a", 0, "build")
        note = {"job": "a", "step": 1}
        script.tell(Annotation, 1, **note, level="notice", message="first\n  second", title="T")
        place = {"file": "src/a.py", "line": 3, "column": 5}
        script.tell(Annotation, 1, **note, level="error", message="unused", **place)
        script.tell(Annotation, 1, **note, level="debug", message="hidden")
        script.tell(SummaryWritten, 1, **note, text="# Title\n\n- item\n")
        script.tell(SummaryWritten, 1, **note, text="    code\n")
        script.job_end("a", 2)
        script.end(2)

    shown = written_by(script, play)
    assert (
        "\n2 annotations\n"
        "  error    src/a.py:3:5  unused  (build)\n"
        "  notice   T: first  (build)\n"
        "             second\n"
        "\n"
        "Summary of build\n"
        "  # Title\n"
        "\n"
        "  - item\n"
        "      code\n"
        "\n"
        "run 12 succeeded"
    ) in shown
    assert "hidden" not in shown


def test_of_many_annotations_some_are_listed(script: Script) -> None:
    def play() -> None:
        for number in range(1000):
            fields = {"level": "error", "message": f"problem {number}"}
            script.tell(Annotation, 1, job="a", step=1, **fields)
        script.end(2)

    shown = written_by(script, play)
    assert "\n1000 annotations\n" in shown
    assert shown.count("problem") == 50
    assert "\n  and 950 more\n" in shown


def test_names_and_messages_cannot_move_the_cursor(script: Script) -> None:
    evil = "\x1b[2J\x1b]0;title\x07\u202egnp\n\x9b2J"

    def play() -> None:
        script.tell(RunStarted, 0, name=evil, file=evil, jobs=1)
        script.job("a", 0, evil)
        script.step("a", 1, evil, 0)
        script.step_end("a", 1, evil, 1, code=1, reason=evil)
        fields = {"message": evil, "title": evil, "file": evil, "level": "error"}
        script.tell(Annotation, 1, job="a", step=1, **fields)
        script.tell(SummaryWritten, 1, job="a", step=1, text=evil)
        script.tell(ImagePulling, 1, job="a", image=evil)
        script.note(evil, 1, job="a")
        script.job_end("a", 2, "failure", reason=evil)
        script.end(3, "failure", evil)

    shown = written_by(script, play)
    assert [letter for letter in "\x1b\x07\x9b\u202e" if letter in shown] == []


# --- live -------------------------------------------------------------------------------------


def test_live_leaves_what_matters(script: Script) -> None:
    with terminal(100) as screen:
        with script.view(screen.stream):
            play_a_run(script)
        assert "\n".join(screen.close()) + "\n" == LIVE + END_OF_THE_RUN


def test_live_lays_summaries_out(script: Script) -> None:
    with terminal(60) as screen:
        with script.view(screen.stream):
            script.begin(1)
            script.job("a", 1)
            script.tell(SummaryWritten, 1, job="a", step=1, text="# Title\n\n- **bold** item\n")
            script.job_end("a", 2)
            script.end(2)
        shown = "\n".join(screen.close())
    assert "• bold item" in shown
    assert "Title" in shown
    assert not {"#", "*"} & set(shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["a b", "────", "1 2"]),
        ("[here](http://x.example)", ["here (http://x.example)"]),
        ("<table>\n<tr><td>1</td></tr>\n</table>", ["<table>", "<tr><td>1</td></tr>", "</table>"]),
        ("# \x1b[2J\u202ex", ["[2Jx"]),
        ("a\n" * LONGEST, ["a"] * LONGEST),
        ("", []),
    ],
)
def test_markdown(text: str, expected: list[str]) -> None:
    lines = rendered(text, colour=False, width=80)
    assert [" ".join(line.split()) for line in lines if line] == expected


def test_hostile_markdown_takes_no_time() -> None:
    began = time.monotonic()
    for text in (">" * 60_000, "[" * 60_000, "*a " * 20_000, "- " * 30_000, "|a" * 30_000):
        rendered(text, colour=True, width=80)
    assert time.monotonic() - began < 20


def test_live_shows_what_runs(script: Script) -> None:
    with terminal() as screen, script.view(screen.stream):
        script.begin(8)
        script.job("lint", 50)
        script.step("lint", 1, "Ruff", 50)
        script.job("build", 55)
        script.tell(
            ImagePulling, 55, job="build", image="python:3.12", current=40 << 20, total=80 << 20
        )
        script.job("flaky", 1)
        script.job_end("flaky", 2, "failure", final=False)
        script.queue("flaky", 3, attempt=2, delay=1000)
        lines = screen.shows(
            "Ruff", "python:3.12", "attempt 2 in", "+5 waiting", "0 of 8 jobs done"
        )
        below = [re.sub(r" +\d+(m \d\d)? ?s", " N s", line) for line in lines]
        assert "● lint N s  Ruff" in below
        assert "↓ build N s  ━━━━━━━━━━──────────  41.9 MB of 83.9 MB  python:3.12" in below
        assert any(re.fullmatch(r"○ flaky +attempt 2 in 15m \d\ds", line) for line in lines)


def test_a_job_alone_shows_its_last_lines(script: Script) -> None:
    with terminal() as screen, script.view(screen.stream):
        script.begin(1)
        script.job("build", 0)
        script.step("build", 1, "Compile", 0)
        text = "".join(f"line {number}\n" for number in range(1000))
        script.output("build", 1, f"{text}10%\r50%\x1b[1A\x1b[2K\n\n")
        lines = screen.shows("│ 50%")
        assert [line for line in lines if "│" in line] == [
            *(f"  │ line {number}" for number in range(993, 1000)),
            "  │ 50%",
        ]
        script.job("test", 0)
        script.step("test", 1, "Pytest", 0)
        assert not any("│" in line for line in screen.shows("Pytest"))


def test_a_low_screen_shows_fewer_last_lines(script: Script) -> None:
    with terminal(80, 8) as screen, script.view(screen.stream):
        script.begin(5)
        script.job("build", 0)
        script.step("build", 1, "Compile", 0)
        script.output("build", 1, "".join(f"line {number}\n" for number in range(20)))
        lines = screen.shows("● build", "Compile", "│ line 19", "+4 waiting", "0 of 5 jobs done")
        assert [line for line in lines if "│" in line] == [f"  │ line {n}" for n in (17, 18, 19)]


@pytest.mark.parametrize("height", [4, 5, 10, 24])
def test_the_region_is_lower_than_the_screen(script: Script, height: int) -> None:
    with terminal(80, height) as screen, script.view(screen.stream):
        script.begin(100)
        for number in range(60):
            script.job(f"job{number}", number)
        lines = screen.shows("0 of 100 jobs done", "+40 waiting")
        shown = height - 4
        assert [line.split()[1] for line in lines if line.startswith("●")] == [
            f"job{number}" for number in range(shown)
        ]
        assert f"  +{60 - shown} running, +40 waiting" in lines


def test_what_is_over_scrolls_away_once(script: Script) -> None:
    with terminal(80, 10) as screen:
        with script.view(screen.stream):
            script.begin(50)
            for number in range(50):
                script.job(f"job{number}", number)
                script.step(f"job{number}", 1, "Sleep", number)
            screen.shows("+44 running")
            for number in range(50):
                script.job_end(f"job{number}", 60)
            screen.shows("50 of 50 jobs done")
        lines = screen.close()
        assert [line.split()[1] for line in lines if line.startswith("✓")] == [
            f"job{number}" for number in range(50)
        ]
        assert not any(line.startswith("●") for line in lines)


def test_a_narrower_screen_is_not_left_untidy(script: Script) -> None:
    with terminal(100, 30) as screen, script.view(screen.stream):
        script.begin(1)
        script.job("build", 0)
        script.step("build", 1, "A step with a name that is long " + "x" * 200, 0)
        lines = screen.shows("A step with", "0 of 1 job done")
        assert max(map(len, lines)) == 100
        screen.resize(50, 30)
        screen.raw.clear()
        script.step("build", 2, "Another step", 1)
        screen.shows("Another step")
        # The line of 99 columns now fills two rows, those of the region before it one each.
        assert b"\x1b[4A" in screen.raw


def test_only_failed_steps_are_printed_and_they_in_full(script: Script) -> None:
    text = "".join(f"line {number}\n" for number in range(5000))
    with terminal() as screen:
        with script.view(screen.stream):
            script.begin(1)
            script.job("build", 0)
            script.job("other", 0)
            script.step("build", 1, "Good", 0)
            script.output("build", 1, "good output\n")
            script.step_end("build", 1, "Good", 1)
            script.step("build", 2, "Allowed", 1)
            script.output("build", 2, "allowed output\n")
            script.step_end("build", 2, "Allowed", 2, code=3, conclusion="success")
            script.step("build", 3, "Bad", 2)
            for start in range(0, len(text), 1000):
                script.output("build", 3, text[start : start + 1000])
                script.output("build", 9, "in between\n")
            script.step_end("build", 3, "Bad", 3, code=1)
        lines = screen.close()
    first, last = lines.index("─" * 80), len(lines) - 1 - lines[::-1].index("─" * 80)
    assert lines[first + 1 : last] == text.splitlines()
    assert [*lines[:first], *lines[last + 1 :]] == [
        "run 12: CI (pipelines/ci.yaml), 1 job",
        "✗ build: Allowed failed with exit code 3 after 1.0 s (continue-on-error)",
        "✗ build: Bad failed with exit code 1 after 1.0 s",
        "  at pipelines/ci.yaml:9:9",
    ]


def test_notes_and_cancelling(script: Script) -> None:
    with terminal() as screen:
        with script.view(screen.stream):
            script.begin(1)
            script.job("build", 0)
            script.note("cancelled by you", 1, "warning")
            script.note("waits for the lock", 1, job="build")
            script.note("for those who debug", 1, "debug")
            script.job_end("build", 2, "cancelled", reason="cancelled by ann")
            script.end(3, "cancelled", "cancelled by ann")
        lines = screen.close()
    assert lines[1:4] == [
        "! cancelled by you",
        "i build: waits for the lock",
        "■ build           2.0 s  cancelled by ann",
    ]
    assert lines[-1] == "run 12 cancelled after 3.0 s: 1 of 1 job cancelled (cancelled by ann)"


def test_an_exception_leaves_a_tidy_screen(script: Script) -> None:
    with terminal() as screen:

        def play() -> None:
            script.begin(1)
            script.job("build", 0)
            screen.shows("0 of 1 job done")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            play_in(script, screen.stream, play)
        assert screen.close() == ["run 12: CI (pipelines/ci.yaml), 1 job"]
        assert not screen.screen.cursor.hidden
        assert (screen.screen.cursor.x, screen.screen.cursor.y) == (0, 1)


def test_a_log_that_cannot_be_read_is_told_at_the_end(script: Script) -> None:
    def play() -> None:
        script.tell(OutputWritten, 0, job="build", step=1, offset=0, length=10)
        script.step_end("build", 1, "Step", 1, code=1)

    with (
        terminal() as screen,
        pytest.raises(FileNotFoundError, match=r"build\.log"),
    ):
        play_in(script, screen.stream, play)


def test_it_draws_at_most_twenty_five_times_a_second(script: Script) -> None:
    with terminal() as screen, script.view(screen.stream):
        script.begin(1)
        script.job("build", 0)
        begun, steps = time.monotonic(), 0
        while time.monotonic() < begun + 1:
            steps += 1
            script.step("build", 1, f"step {steps}", 0)
        frames = screen.raw.count(FRAME)
        took = time.monotonic() - begun
        assert steps > 1000
        assert 2 <= frames <= 25 * took + 2


def test_an_unchanged_picture_is_not_drawn_again(script: Script) -> None:
    with terminal() as screen:
        with script.view(screen.stream):
            script.begin(2)
            script.start = time.time() - 7000  # A clock that shows minutes.
            script.begin(2)
            screen.shows("0 of 2 jobs done, 1h 56m")
            script.note("look", 0)
            screen.shows("look", "0 of 2 jobs done")
            frames = screen.raw.count(FRAME)
            for _ in range(100_000):
                script.tell(OutputWritten, 0, job="a", step=1, offset=0, length=1)
        screen.close()
        # The one more removes the region.
        assert screen.raw.count(FRAME) == frames + 1


def test_output_of_steps_that_succeed_is_not_read(script: Script) -> None:
    with terminal() as screen, script.view(screen.stream) as view:
        script.begin(2)
        for job in ("a", "b"):
            script.job(job, 0)
            script.step(job, 1, "Print", 0)
        for number in range(100_000):
            offset, length = number << 16, 1 << 16
            view.emit(OutputWritten(run=12, time=0, job="a", step=1, offset=offset, length=length))
        script.step_end("a", 1, "Print", 1)
        script.note("the end", 1)
        screen.shows("the end", "0 of 2 jobs done")
        assert script.reads == 0


def test_a_job_alone_is_read_a_little_at_a_time(script: Script) -> None:
    script.output("a", 1, b"text\n" * 2_000_000)
    sizes: list[int] = []

    def read(output: OutputWritten) -> bytes:
        sizes.append(output.length)
        return script.read(output)

    with (
        terminal() as screen,
        open_view(screen.stream, read=read, rerun=rerun_failed, environ=XTERM) as view,
    ):
        script.emit = view.emit
        script.begin(1)
        script.job("a", 0)
        script.step("a", 1, "Print", 0)
        script.tell(OutputWritten, 0, job="a", step=1, offset=0, length=10_000_000)
        screen.shows("│ text")
        script.step_end("a", 1, "Print", 1)
    assert max(sizes) == 4096


# --- what steps print -------------------------------------------------------------------------

CLEANED = [
    ("plain text\n\ttab\n", None, None),
    ("\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m"),
    ("\x1b[38;5;1mred\x1b[m\n", "red\n", "\x1b[38;5;1mred\x1b[m\n"),
    ("\x1b[38:2::1:2:3mred\x1b[m\n", "red\n", "\x1b[38:2::1:2:3mred\x1b[m\n"),
    ("\x1b[31mred", "red", "\x1b[31mred\x1b[0m"),
    ("\x1b[1mone\ntwo\n", "one\ntwo\n", "\x1b[1mone\x1b[0m\n\x1b[1mtwo\x1b[0m\n"),
    (
        "\x1b[1;31ma\x1b[0;32mb\nc\x1b[m",
        "ab\nc",
        "\x1b[1;31ma\x1b[0;32mb\x1b[0m\n\x1b[0;32mc\x1b[m",
    ),
    ("a\x1b[2Jb\x1b[1;1Hc\x1b[Kd\x1b[?25le\x1b[>4;2mf", "abcdef", None),
    ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1bPq#1\x1b\\d\x1b_x\x1b\\e", "abcde", None),
    ("a\x1bcb\x1b7c\x1b(0d\x1bMe\x1b#8f", "abcdef", None),
    ("a\x1b\x1b[2Jb\x1b", "ab", None),
    ("a\x1b[2\x00Jb", "a2Jb", None),
    ("a\x00b\x07c\x08d\x0be\x0cf\x0eg\x0fh\x7fi", "abcdefghi", None),
    ("a\x9bb\x9dc\u0085d", "abcd", None),
    ("é \u00a0 \u2014 日本 🎉", None, None),
    ("one\r\ntwo\rthree", "one\ntwo\rthree", None),
    ("a\x1b]0;" + "x" * 5000, "a0;" + "x" * 5000, None),
]


@pytest.mark.parametrize(("text", "bare", "coloured"), CLEANED)
def test_output_cannot_repaint_the_screen(
    text: str, bare: str | None, coloured: str | None
) -> None:
    bare = text if bare is None else bare
    assert cleaned([text.encode()], colour=False).decode() == bare
    assert cleaned([text.encode()], colour=True).decode() == (coloured or bare)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("text", [row[0] for row in CLEANED if len(row[0]) < 1000])
def test_blocks_may_end_anywhere(text: str, colour: bool) -> None:
    whole, data = cleaned([text.encode()], colour=colour), text.encode()
    for cut in range(len(data)):
        assert cleaned([data[:cut], data[cut:]], colour=colour) == whole, cut
    assert cleaned([data[i : i + 1] for i in range(len(data))], colour=colour) == whole


def cleaned(blocks: Sequence[bytes], *, colour: bool) -> bytes:
    cleaner = Cleaner(colour=colour)
    return b"".join([*map(cleaner.feed, blocks), cleaner.end()])


BYTES = (b"\x1b", b"[", b"]", b"P", b"\\", b"\x07", b"2", b";", b"m", b"J", b"\xc2", b"\x9b", b"\r")
WORDS = (b"\n", b"##[", b"group]", b"error]", b"endgroup]", b"\x00", b"a", b" ")
PIECES = st.sampled_from([*BYTES, *WORDS])


@given(st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=8), st.booleans())
def test_nothing_but_colours_gets_through(blocks: list[bytes], colour: bool) -> None:
    transcript = Transcript(colour=colour)
    shown = b"".join([*map(transcript.feed, blocks), transcript.end()])
    rest = re.sub(rb"\x1b\[[0-9;:]*m", b"", shown) if colour else shown
    assert [code for code in b"\x1b\x00\x07" if code in rest] == []
    assert b"\xc2\x9b" not in rest
    at_once = Transcript(colour=colour)
    assert shown == at_once.feed(b"".join(blocks)) + at_once.end()


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("##[group]Title\nin it\n##[endgroup]\nafter\n", "▸ Title\nin it\nafter\n"),
        ("##[error]broken\n", "Error: broken\n"),
        ("##[warning]careful\r\n", "Warning: careful\n"),
        ("##[notice]look\n##[debug]why\n", "Notice: look\nDebug: why\n"),
        ("##[command]make all\n##[section]Part\n", "$ make all\nPart\n"),
        ("##[error file=a.py,line=1]broken", "Error: broken"),
        ("##[endgroup]", ""),
        ("not at the start ##[error]\n", None),
        ("##[other]x\n", None),
        ("# comment\n## heading\n##\n##[", None),
        ("##[group" + "x" * 5000, None),
        ("a\n##[group]b", "a\n▸ b"),
    ],
)
def test_marks(text: str, rendered: str | None) -> None:
    rendered = text if rendered is None else rendered
    data = text.encode()
    for cut in {0, len(data), *range(min(len(data), 60))}:
        transcript = Transcript(colour=False)
        shown = transcript.feed(data[:cut]) + transcript.feed(data[cut:]) + transcript.end()
        assert shown.decode() == rendered, cut


def test_a_line_that_is_no_mark_does_not_wait() -> None:
    assert Marks().feed(b"prompt> ") == b"prompt> "
    assert Marks().feed(b"# ") == b"# "


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "exact", "ticking"),
    [
        (0, "0.0 s", "0 s"),
        (-1, "0.0 s", "0 s"),
        (3.24, "3.2 s", "3 s"),
        (59.94, "59.9 s", "59 s"),
        (59.96, "1m 00s", "59 s"),
        (65, "1m 05s", "1m 05s"),
        (3599.4, "59m 59s", "59m 59s"),
        (3600, "1h 00m", "1h 00m"),
        (90_000, "25h 00m", "25h 00m"),
    ],
)
def test_durations(seconds: float, exact: str, ticking: str) -> None:
    assert (duration(seconds), elapsed(seconds)) == (exact, ticking)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (4000, "4.0 kB"),
        (45_100_000, "45.1 MB"),
        (2_000_000_000, "2.0 GB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


def test_widths() -> None:
    assert [cells(text) for text in ("abc", "日本", "e\u0301", "")] == [3, 4, 1, 0]
    assert [shortened(text, 4) for text in ("abcd", "abcde", "日本語")] == ["abcd", "abc…", "日…"]
    assert visible(" a\n\tb\x1b[2J\u202e ") == "a b[2J"
