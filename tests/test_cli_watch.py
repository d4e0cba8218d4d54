"""`pipe watch`, as a process: files change, and it does what it should."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import RunPipe
from tests.test_examples import CHANGING, missing

pytestmark = pytest.mark.timeout(90)

PIPE = str(Path(sys.executable).with_name("pipe"))
SECONDS = 40
ON_HOST = """\
on: {on}
jobs:
  build:
    runs-on: self-hosted
    steps:
      - run: {run}
"""
IN_DOCKER = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    container: pipe-test/debian:12
    steps:
      - run: {run}
"""


class Watch:
    """A `pipe watch` that goes on, and all that it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self._output = output
        self._text = ""
        self._seen = 0
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while data := _read(self._output):
            with self._news:
                self._text += data.decode(errors="replace").replace("\r\n", "\n")
                self._news.notify_all()
        with self._news:
            self._output = -1
            self._news.notify_all()

    def until(self, text: str) -> str:
        """What was printed since the last call, up to and with this text."""
        deadline = time.monotonic() + SECONDS
        with self._news:
            while (at := self._text.find(text, self._seen)) < 0:
                left = deadline - time.monotonic()
                assert left > 0, f"no {text!r} in:\n{self._text[self._seen :]}"
                assert self._output >= 0, f"it ended without {text!r}:\n{self._text}"
                self._news.wait(left)
            since, self._seen = self._seen, at + len(text)
            return self._text[since : self._seen]

    def rests(self) -> str:
        """What was printed until nothing runs."""
        return self.until("Ctrl-C ends\n")

    def ends(self, number: int = signal.SIGINT) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    @property
    def rest(self) -> str:
        """What was printed since."""
        return self._text[self._seen :]


def _read(output: int) -> bytes:
    try:
        return os.read(output, 1 << 16)
    except OSError:
        return b""


StartWatch = Callable[..., Watch]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout, which is where the test is."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    git("init", "-q")
    write("src/a.txt", "one\n")
    write(".gitignore", "out/\n")
    return project


@pytest.fixture
def start(project: Path) -> Iterator[StartWatch]:
    """Starts `pipe watch` in the project; what still runs is killed at the end."""
    started: list[Watch] = []

    def start_one(*arguments: str) -> Watch:
        ours, theirs = os.pipe()
        process = subprocess.Popen([PIPE, "watch", *arguments], stdout=theirs, stderr=theirs)
        os.close(theirs)
        started.append(Watch(process, ours))
        return started[-1]

    yield start_one
    for watch in started:
        watch.process.kill()
        watch.process.wait()


def write(name: str, text: str) -> None:
    """Write a file as editors do: all at once."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{name}~")
    part.write_text(text)
    part.replace(path)


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def on_host(run: str, on: str = "push") -> str:
    return ON_HOST.format(on=on, run=json.dumps(run))


def in_docker(run: str) -> str:
    return IN_DOCKER.format(run=json.dumps(run))


# -- a change is a run


@pytest.mark.docker
def test_a_change_is_a_run_in_a_box_that_waited(start: StartWatch) -> None:
    write("ci.yaml", in_docker("cat src/a.txt; cat /etc/hostname; git status --short src"))
    watch = start("ci.yaml")
    first = watch.rests()
    assert first.startswith("ci.yaml runs\nrun 1: ci (ci.yaml), 1 job\n")
    assert "build | one\n" in first
    assert first.endswith("watching 3 files; Ctrl-C ends\n")
    waiting = box_that_waits()
    write("src/a.txt", "two\n")
    second = watch.rests()
    assert second.startswith("ci.yaml runs: src/a.txt changed\nrun 2: ")
    assert f"build | two\nbuild | {waiting}\n" in second
    assert watch.ends() == 0
    assert containers() == []


@pytest.mark.docker
def test_a_run_ends_with_its_watch_however_that_ends(start: StartWatch) -> None:
    write("ci.yaml", in_docker("echo began"))
    watch = start("ci.yaml")
    watch.rests()
    box_that_waits()
    watch.process.kill()
    watch.process.wait()
    deadline = time.monotonic() + SECONDS
    while containers():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def box_that_waits() -> str:
    """The host name of the only container of this project, once it is there."""
    deadline = time.monotonic() + SECONDS
    while not (found := containers("--filter", "label=pipe.run=0", "--filter", "status=running")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0]


def containers(*options: str) -> list[str]:
    label = f"label=pipe.project={Path.cwd()}"
    command = ["docker", "ps", "-aq", "--filter", label, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_only_what_counts_is_a_run(start: StartWatch) -> None:
    write("ci.yaml", on_host("cat src/*", "{watch: {paths: src, ignore: '**/*.log'}}"))
    watch = start("ci.yaml", "--host")
    assert watch.rests().endswith("watching src; Ctrl-C ends\n")
    write("docs/a.md", "no")
    write("src/deep/a.log", "no")
    write("out/generated", "no")
    git("add", "-A")
    write("src/a.txt", "one\n")
    write("src/b.txt", "yes\n")
    second = watch.rests()
    assert second.startswith("ci.yaml runs: src/b.txt changed\nrun 2: ")
    assert watch.ends() == 0


def test_many_files_are_one_run_that_names_a_few(start: StartWatch) -> None:
    write("ci.yaml", on_host("ls src | wc -l", "{watch: {debounce: 300ms}}"))
    watch = start("ci.yaml", "--host")
    watch.rests()
    for number in range(6):
        write(f"src/{number}", "x")
    second = watch.rests()
    assert second.startswith("ci.yaml runs: src/0, src/1, src/2 and 3 more changed\n")
    assert "build | 7\n" in second
    assert watch.ends() == 0


def test_each_pipeline_has_its_own_files(start: StartWatch) -> None:
    write("one.yaml", on_host("echo ONE", "{watch: {paths: src}}"))
    write("two.yaml", on_host("echo TWO", "{watch: {paths: [docs, src/both]}}"))
    watch = start("two.yaml", "one.yaml", "--host")
    first = watch.rests()
    assert first.index("two.yaml runs\n") < first.index("one.yaml runs\n")
    write("src/a.txt", "changed")
    assert runs(watch.rests()) == ["one.yaml"]
    write("docs/a.md", "changed")
    assert runs(watch.rests()) == ["two.yaml"]
    write("src/both", "changed")
    assert runs(watch.rests()) == ["two.yaml", "one.yaml"]
    assert watch.ends() == 0


def runs(printed: str) -> list[str]:
    return re.findall(r"^(\S+) runs", printed, re.MULTILINE)


# -- a change during a run


@pytest.mark.docker
def test_a_change_during_a_run_cancels_it(start: StartWatch) -> None:
    write("ci.yaml", in_docker("cat src/a.txt; grep -q fast src/a.txt || sleep 60"))
    watch = start("ci.yaml")
    watch.until("build | one\n")
    write("src/a.txt", "fast\n")
    printed = watch.rests()
    assert "run 1 cancelled" in printed
    assert "ci.yaml runs: src/a.txt changed\nrun 2: " in printed
    assert "build | fast\n" in printed
    assert watch.ends() == 0


def test_a_run_may_end_first(start: StartWatch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    write("ci.yaml", on_host(f"cat src/a.txt; cat {gate}"))
    watch = start("ci.yaml", "--host", "--no-cancel")
    watch.until("build | one\n")
    write("src/a.txt", "two\n")
    write("src/b.txt", "new\n")
    await_copy("src/b.txt")
    gate.write_text("")
    assert "run 1 succeeded" in watch.until("ci.yaml runs: src/a.txt, src/b.txt changed\nrun 2: ")
    watch.until("build | two\n")
    gate.write_text("")
    watch.rests()
    assert watch.ends() == 0


def await_copy(name: str) -> None:
    """Wait until the watch has seen the file, and copied it: a run that ends then ends too late."""
    deadline = time.monotonic() + SECONDS
    shelves = Path(os.environ["PIPE_HOME"]) / "snapshots"
    while not any((tree / name).exists() for tree in shelves.glob("*/*/")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_for_another_pipeline_cancels_nothing(start: StartWatch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    write("one.yaml", on_host(f"echo began; cat {gate}", "{watch: {paths: src/a.txt}}"))
    write("two.yaml", on_host("echo TWO", "{watch: {paths: src/b.txt}}"))
    watch = start("one.yaml", "two.yaml", "--host")
    watch.until("build | began\n")
    write("src/b.txt", "new\n")
    await_copy("src/b.txt")
    gate.write_text("")
    printed = watch.rests()
    assert "run 1 succeeded" in printed
    assert printed.count("two.yaml runs") == 1
    assert watch.ends() == 0


# -- the pipeline changes


def test_an_edited_pipeline_is_loaded_again(start: StartWatch) -> None:
    write("ci.yaml", on_host("echo before", "{watch: {paths: src}}"))
    watch = start("ci.yaml", "--host")
    assert "build | before\n" in watch.rests()
    write("ci.yaml", on_host("echo after", "{watch: {paths: docs}}"))
    second = watch.rests()
    assert second.startswith("ci.yaml runs: ci.yaml changed\n")
    assert "build | after\n" in second
    assert second.endswith("watching docs; Ctrl-C ends\n")
    write("docs/a", "x")
    assert watch.rests().startswith("ci.yaml runs: docs/a changed\n")
    assert watch.ends() == 0


def test_a_broken_pipeline_shows_its_problems(start: StartWatch) -> None:
    write("ci.yaml", on_host("echo one", "{watch: {paths: src}}"))
    watch = start("ci.yaml", "--host")
    watch.rests()
    write("ci.yaml", "on: push\njobs:\n  build:\n    runs-on: self-hosted\n    stepps: []\n")
    broken = watch.rests()
    assert "ci.yaml:5:5: error[unknown-key]: a job has no key `stepps`" in broken
    assert "run 2" not in broken
    write("anything", "may repair it")
    assert "error[unknown-key]" in watch.rests()
    write("ci.yaml", on_host("echo two", "{watch: {paths: src}}"))
    assert "build | two\n" in watch.rests()
    assert watch.ends() == 0


def test_what_a_pipeline_is_made_of_counts_always(start: StartWatch) -> None:
    calls = "on: {watch: {paths: src}}\njobs: {call: {uses: ./parts/called.yaml}}\n"
    action = "runs: {using: composite, steps: [{run: echo %s, shell: sh}]}\n"
    write("ci.yaml", calls)
    called = on_host("echo called", "workflow_call") + "      - uses: ./actions/hello\n"
    write("parts/called.yaml", called)
    write("actions/hello/action.yml", action % "hello")
    watch = start("ci.yaml", "--host")
    assert "build | hello\n" in watch.rests()
    write("actions/hello/action.yml", action % "bye")
    assert "build | bye\n" in watch.rests()
    write("parts/called.yaml", called.replace("echo called", "echo again"))
    assert "build | again\n" in watch.rests()
    write("pipe.yaml", "unknown: 1\n")
    watch.until("pipe.yaml:1:1: error[unknown-key]")
    write("pipe.yaml", "vars: {A: b}\n")
    assert "ci.yaml runs: pipe.yaml changed\n" in watch.rests()
    assert watch.ends() == 0


def test_a_project_that_is_broken_from_the_start(start: StartWatch) -> None:
    write("ci.yaml", on_host("echo one"))
    write("pipe.yaml", "unknown: 1\n")
    watch = start("ci.yaml", "--host")
    assert "error[unknown-key]" in watch.rests()
    write("pipe.yaml", "vars: {A: b}\n")
    assert "build | one\n" in watch.rests()
    write("src/a.txt", "two\n")
    assert "ci.yaml runs: src/a.txt changed\n" in watch.rests()
    assert watch.ends() == 0


def test_warnings_are_shown(start: StartWatch) -> None:
    write("ci.yaml", on_host("echo ${{ steps.nothing.outputs.x }}"))
    watch = start("ci.yaml", "--host")
    assert "warning[" in watch.rests()
    assert watch.ends() == 0


# -- how it ends, and how it does not


def test_a_run_that_fails_does_not_end_it(start: StartWatch) -> None:
    write("ci.yaml", on_host("grep two src/a.txt"))
    watch = start("ci.yaml", "--host")
    assert "run 1 failed" in watch.rests()
    write("src/a.txt", "two\n")
    assert "run 2 succeeded" in watch.rests()
    assert watch.ends(signal.SIGTERM) == 0


def test_a_run_that_cannot_start_does_not_end_it(start: StartWatch) -> None:
    write("ci.yaml", on_host("echo one"))
    watch = start("ci.yaml")
    assert "nobody allowed" in watch.rests()
    write("src/a.txt", "two\n")
    assert "nobody allowed" in watch.rests()
    assert watch.ends() == 0


def test_ctrl_c_cancels_what_runs_first(
    start: StartWatch, run_pipe: RunPipe, project: Path
) -> None:
    always = "      - if: always()\n        run: echo cleaned up\n"
    write("ci.yaml", on_host("echo began; sleep 60") + always)
    watch = start("ci.yaml", "--host")
    watch.until("build | began\n")
    assert watch.ends() == 130
    assert "build | cleaned up\n" in watch.rest
    assert "run 1 cancelled" in watch.rest
    assert "cancelled" in run_pipe("show", "1", cwd=project).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "there is no pipeline `missing`"),
        (["ci.yaml", "--progress", "live"], "the live view needs a terminal"),
        ([], "Missing argument 'FILE...'"),
        (["ci.yaml", "--input", "x"], "`x` is not NAME=VALUE"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str, run_pipe: RunPipe, project: Path) -> None:
    write("ci.yaml", on_host("echo one"))
    refused = run_pipe("watch", *arguments, cwd=project)
    assert refused.exit_code in (2, 4)
    assert said in refused.stderr


# -- the event, and what is typed


def test_the_event_is_watch_and_inputs_are_those_of_a_run_by_hand(start: StartWatch) -> None:
    inputs = "{workflow_dispatch: {inputs: {a: {default: x}, b: {}}}}"
    write(
        "ci.yaml", on_host("echo ${{ github.event_name }} ${{ inputs.a }} ${{ inputs.b }}", inputs)
    )
    watch = start("ci.yaml", "--host", "--input", "b=y", "--json")
    watch.until('"text": "watch x y\\n"')
    notes = [line for line in watch.until("Ctrl-C ends").splitlines() if '"Note"' in line]
    assert json.loads(notes[-1] + '"}')["run"] == 0
    assert watch.ends() == 0


def test_an_event_that_does_not_start_it(start: StartWatch) -> None:
    write("ci.yaml", on_host("echo one", "{push: {branches: [release]}}"))
    watch = start("ci.yaml", "--host", "--event", "push")
    assert 'ci.yaml does not run: branch "main" matches none of on.push.branches' in watch.rests()
    assert watch.ends() == 0


def test_a_run_in_the_checkout_does_not_cancel_itself(start: StartWatch) -> None:
    write("ci.yaml", on_host("cat src/a.txt | tee made; sleep 0.3; cat made >>out; echo end"))
    write(".gitignore", "out\n")
    watch = start("ci.yaml", "--host", "--bind")
    assert "cancelled" not in watch.until("run 1 succeeded")
    assert "build | end\n" in watch.until("ci.yaml runs: made changed\nrun 2: ") + watch.rests()
    write("src/a.txt", "two\n")
    assert "cancelled" not in watch.until("run 3 succeeded")
    assert watch.until("ci.yaml runs: made changed\nrun 4: ")
    watch.rests()
    assert watch.ends() == 0


def test_other_runs_in_the_same_home(start: StartWatch, run_pipe: RunPipe, project: Path) -> None:
    write("ci.yaml", on_host("cat src/a.txt"))
    watch = start("ci.yaml", "--host")
    watch.rests()
    assert run_pipe("run", "ci.yaml", "--host", cwd=project).exit_code == 0
    write("src/a.txt", "two\n")
    assert "run 3 succeeded" in watch.rests()
    assert watch.ends() == 0


# -- on a terminal


def test_a_terminal_is_cleared_before_each_run(project: Path) -> None:
    write("ci.yaml", on_host("cat src/a.txt"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PIPE, "watch", "ci.yaml", "--host"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    watch = Watch(process, ours)
    try:
        assert "\x1b[2J" not in watch.until("Ctrl-C ends")
        write("src/a.txt", "two\n")
        second = watch.until("Ctrl-C ends")
        cleared, shown = second.split("\x1b[H\x1b[2J")
        assert "ci.yaml runs: src/a.txt changed" in shown
        assert "run 2 succeeded" in shown
        assert "runs" not in cleared
        os.write(ours, b"\x03")
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


# -- the page about it


def examples() -> Iterator[tuple[str, str]]:
    """Language and text of each block of the page, in its order."""
    page = (Path(__file__).parents[1] / "docs" / "watching.md").read_text("utf-8")
    yield from re.findall(r"^```(\w+)\n((?:.*\n)*?)```$", page, re.MULTILINE)


@pytest.mark.docker
def test_the_page_shows_what_happens(start: StartWatch) -> None:
    write("src/a.txt", "answer 41\n")
    write("pipe.yaml", "images: {ubuntu-latest: 'pipe-test/debian:12'}\n")
    Path(".git/info/exclude").write_text("pipe.yaml\n.gitignore\nhome\n")
    git("add", "-f", ".gitignore")
    watch = None
    printed = ""
    for language, text in examples():
        match language:
            case "yaml":
                write(text.splitlines()[0].removeprefix("# "), text)
            case "console" if text.startswith("$ pipe watch "):
                assert watch is None or watch.ends() == 0
                watch = start(*text.split()[3:])
                printed = watch.rests()
            case "console":
                assert watch
                subprocess.run(text.removeprefix("$ "), shell=True, check=True)
                printed = watch.rests()
            case "text":
                [*lines] = map(comparable, printed.replace("pipe-test/", "").splitlines())
                assert missing([comparable(line) for line in text.splitlines()], lines) == []
    assert watch
    assert watch.ends() == 0


def comparable(line: str) -> str:
    for pattern, replacement in CHANGING:
        line = re.sub(pattern, replacement, line)
    return line.strip()
